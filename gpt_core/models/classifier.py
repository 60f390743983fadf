"""A GPT with a classification head in place of the language-model head.

Shapes: B batch, T time, C width, K classes.
"""

import torch
from torch import Tensor, nn

from gpt_core.models.gpt import GPT


class GPTClassifier(nn.Module):
    """Classifies a text by a linear layer on the hidden state of its last token.

    Attention is causal, so only the last token has seen the whole text, and padding at the end
    changes no logit.

    Args:
        gpt: The body; its language-model head is removed.
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
        """Compute the logits of the classes.

        Args:
            token_ids: Padded at the end, shape (B, T).
            lengths: Number of tokens before the padding, at least 1, shape (B,).

        Returns:
            Logits, shape (B, K).
        """
        hidden = self.gpt.hidden(token_ids)  # (B, T, C)
        rows = torch.arange(len(lengths), device=hidden.device)
        logits: Tensor = self.score(hidden[rows, lengths - 1])  # (B, K)
        return logits

    def freeze_all_but(self, n_blocks: int) -> None:
        """Freeze all weights except those of the last blocks, the final norm and the head.

        Args:
            n_blocks: Number of last blocks that stay trainable; 0 for norm and head alone.
        """
        self.gpt.requires_grad_(False)
        first = len(self.gpt.h) - n_blocks
        for module in (*list(self.gpt.h)[max(0, first) :], self.gpt.ln_f):
            module.requires_grad_(True)
