"""A GPT's body with a head that names a class instead of the next token.

Shapes: B batch, T time, C width, K classes.
"""

import torch
from torch import Tensor, nn

from gpt_core.models.gpt import GPT


class GPTClassifier(nn.Module):
    """Reads the hidden vector of the last real token, the only one that has seen the whole text.

    The tokens before it saw less, for attention looks back only; those after it are padding. As
    nothing looks ahead, padding at the end changes no logit.

    Args:
        gpt: The body; its own head is dropped.
        n_classes: K.

    References:
        Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training",
        section 3.2.
    """

    def __init__(self, gpt: GPT, n_classes: int) -> None:
        super().__init__()
        self.config = gpt.config
        self.gpt = gpt
        self.gpt.lm_head = None  # type: ignore[assignment]
        self.score = nn.Linear(gpt.config.n_embd, n_classes)
        nn.init.normal_(self.score.weight, std=0.02)
        nn.init.zeros_(self.score.bias)

    def forward(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """Score the classes.

        Args:
            token_ids: Padded at the end, shape (B, T).
            lengths: Real tokens of each row, at least 1, shape (B,).

        Returns:
            Logits, shape (B, K).
        """
        hidden = self.gpt.hidden(token_ids)  # (B, T, C)
        rows = torch.arange(len(lengths), device=hidden.device)
        logits: Tensor = self.score(hidden[rows, lengths - 1])  # (B, K)
        return logits

    def freeze_all_but(self, n_blocks: int) -> None:
        """Train only the last blocks, the final norm and the head.

        Args:
            n_blocks: How many of the last blocks; 0 for the norm and the head alone.
        """
        self.gpt.requires_grad_(False)
        first = len(self.gpt.h) - n_blocks
        for module in (*list(self.gpt.h)[max(0, first) :], self.gpt.ln_f):
            module.requires_grad_(True)
