"""A GPT with a classification head in place of the language-model head.

Shapes: B batch, T time, C width, K classes, V vocabulary.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt_core.config import IGNORED
from gpt_core.models.gpt import GPT
from gpt_core.models.loss import next_token_loss
from gpt_core.models.windows import mean_by_text, split_windows


class GPTClassifier(nn.Module):
    """Classifies a text by a linear layer on the hidden state of one of its tokens, or their mean.

    Attention is causal, so only the last token has seen the whole text, and padding at the end
    changes no logit unless ``pad_to`` is set.

    Args:
        gpt: The body; its language-model head is removed.
        n_classes: K.
        position: The token that is classified, or ``mean`` of all tokens of the text.
        pad_to: Every text is padded to this many tokens and the last position counts as its last
            token, be it padding; None classifies the last token of the text.
        temperature: Divides the logits before they become probabilities, see ``probabilities``.
        window: Longer texts are read in windows of so many tokens, over which the logits are
            averaged; None reads every text at once.

    References:
        Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training",
        section 3.2.
    """

    def __init__(
        self,
        gpt: GPT,
        n_classes: int,
        position: Literal["last", "first", "mean"] = "last",
        pad_to: int | None = None,
        temperature: float = 1.0,
        window: int | None = None,
    ) -> None:
        super().__init__()
        self.config = gpt.config
        self.position, self.pad_to, self.temperature = position, pad_to, temperature
        self.window = window
        self.gpt = gpt
        self.gpt.lm_head = None  # type: ignore[assignment]
        self.score = nn.Linear(gpt.config.n_embd, n_classes)
        nn.init.normal_(self.score.weight, std=0.02)
        nn.init.zeros_(self.score.bias)

    def forward(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """Compute the logits of the classes.

        Args:
            token_ids: Padded at the end, to ``pad_to`` if that is set, shape (B, T).
            lengths: Number of tokens before the padding, at least 1, shape (B,).

        Returns:
            Logits, shape (B, K).

        Raises:
            ValueError: If the rows are not padded to ``pad_to``.
        """
        if self.pad_to is not None and token_ids.shape[1] != self.pad_to:
            raise ValueError(f"rows have {token_ids.shape[1]} tokens, not pad_to={self.pad_to}")
        if self.window is None or token_ids.shape[1] <= self.window:
            return self._classify(token_ids, lengths)
        windows, sizes, texts = split_windows(token_ids, lengths, self.window)
        return mean_by_text(self._classify(windows, sizes), texts, len(lengths))

    def forward_with_next_tokens(
        self, token_ids: Tensor, lengths: Tensor, head: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute the logits of the classes, and how well each text's own tokens are predicted.

        Args:
            token_ids: Padded at the end, of at most the context's length, shape (B, T).
            lengths: Number of tokens before the padding, at least 1, shape (B,).
            head: The weight of the language-model head, shape (V, C).

        Returns:
            Logits, shape (B, K), and each text's mean next-token loss in nats, shape (B,): 0 for a
            text of one token.

        References:
            Radford et al. 2018, equation 5.
        """
        hidden = self.gpt.hidden(token_ids)  # (B, T, C)
        places = torch.arange(1, token_ids.shape[1], device=hidden.device)
        targets = token_ids[:, 1:].masked_fill(places >= lengths[:, None], IGNORED)  # (B, T - 1)
        predicted = F.linear(hidden[:, :-1], head)  # (B, T - 1, V)
        losses = next_token_loss(predicted, targets, reduction="none").sum(dim=1)
        logits: Tensor = self.score(self._pool(hidden, lengths))  # (B, K)
        return logits, losses / (lengths - 1).clamp(min=1)

    def _classify(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """Compute the logits of rows that fit into the context."""
        hidden = self.gpt.hidden(token_ids)  # (B, T, C)
        logits: Tensor = self.score(self._pool(hidden, lengths))  # (B, K)
        return logits

    def _pool(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """The state of each text that is classified, shape (B, C)."""
        if self.position == "mean":
            columns = torch.arange(hidden.shape[1], device=hidden.device)
            is_text = columns < lengths[:, None]  # (B, T)
            return (hidden * is_text[:, :, None]).sum(dim=1) / lengths[:, None]
        rows = torch.arange(len(lengths), device=hidden.device)
        last = lengths - 1 if self.pad_to is None else torch.full_like(lengths, self.pad_to - 1)
        return hidden[rows, last if self.position == "last" else torch.zeros_like(lengths)]

    def probabilities(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """Compute the calibrated probabilities of the classes, ``softmax(logits / temperature)``.

        Args:
            token_ids: Padded at the end, to ``pad_to`` if that is set, shape (B, T).
            lengths: Number of tokens before the padding, at least 1, shape (B,).

        Returns:
            Probabilities, shape (B, K).
        """
        logits: Tensor = self(token_ids, lengths)
        return (logits.float() / self.temperature).softmax(dim=-1)

    def freeze_all_but(self, n_blocks: int) -> None:
        """Freeze all weights except those of the last blocks, the final norm and the head.

        Args:
            n_blocks: Number of last blocks that stay trainable; 0 for the head alone.
        """
        self.gpt.requires_grad_(False)
        if n_blocks == 0:
            return
        first = len(self.gpt.h) - n_blocks
        for module in (*list(self.gpt.h)[max(0, first) :], self.gpt.ln_f):
            module.requires_grad_(True)
