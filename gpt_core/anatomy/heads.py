"""The kinds of attention heads, measured on text without meaning.

A sequence of random tokens, written twice, has no grammar and no topic. A head that attends to the
token before, to the first token or to itself does so here too; one that attends to what followed
the same token the last time (an induction head) can only do so in the second half.

Shapes: L blocks, H heads, T time.

References:
    Olsson et al. 2022, "In-context Learning and Induction Heads", "Key Concepts".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gpt_core.anatomy.recording import record
from gpt_core.errors import DataError
from gpt_core.models import GPT

_SEQUENCES = 4
_LONGEST = 64  # tokens that are repeated


@dataclass(frozen=True, slots=True)
class HeadScores:
    """Mean attention weights of every head, in [0, 1], each (L, H)."""

    previous: Tensor
    """On the token before."""

    first: Tensor
    """On the first token of the sequence, from the second on."""

    same: Tensor
    """On the token itself."""

    induction: Tensor
    """On the token that followed the same token the last time."""

    def kind(self, block: int, head: int, threshold: float = 0.4) -> str | None:
        """The place that gets most of a head's attention, in a word; None if none gets enough."""
        name = max(
            ("previous", "first", "same", "induction"), key=lambda n: self._at(n, block, head)
        )
        return name if self._at(name, block, head) >= threshold else None

    def _at(self, name: str, block: int, head: int) -> float:
        scores: Tensor = getattr(self, name)
        return float(scores[block, head])


def score_heads(model: GPT, seed: int = 0) -> HeadScores:
    """Measure every head on repeated random tokens.

    Args:
        model: The language model.
        seed: Of the random tokens.

    Raises:
        DataError: If the context is too short to repeat two tokens.
    """
    n = min(_LONGEST, model.config.context_length // 2)
    if n < 2:
        raise DataError(
            f"a context of {model.config.context_length} tokens is too short to repeat a sequence"
        )
    generator = torch.Generator().manual_seed(seed)
    totals = [_mean_weights(model, n, generator) for _ in range(_SEQUENCES)]
    return HeadScores(*torch.stack(totals).mean(dim=0))


def _mean_weights(model: GPT, n: int, generator: torch.Generator) -> Tensor:
    """The four mean weights of every head on one sequence of 2 n tokens, shape (4, L, H)."""
    half = torch.randint(model.config.vocab_size or 0, (n,), generator=generator).tolist()
    recording = record(model, half + half)
    weights = torch.stack([block.weights for block in recording.blocks])  # (L, H, 2 n, 2 n)
    previous = weights.diagonal(-1, dim1=-2, dim2=-1).mean(dim=-1)
    first = weights[..., 1:, 0].mean(dim=-1)
    same = weights.diagonal(0, dim1=-2, dim2=-1)[..., 1:].mean(dim=-1)
    induction = weights.diagonal(1 - n, dim1=-2, dim2=-1)[..., 1:].mean(dim=-1)
    return torch.stack([previous, first, same, induction])
