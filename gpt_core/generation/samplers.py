"""From logits to the next token.

A sampler is a pure function of the logits and of one uniform number a row. The numbers come from
``Dice``, where each row has its own: what is drawn for a row depends neither on the other rows of
the batch nor on the device.

Shapes: B rows, V vocabulary.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig
from gpt_core.generation.logits import apply_temperature, keep_top_k, keep_top_p

Sampler = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, V) and uniform numbers in [0, 1) (B,) to ids (B,)."""


class Dice:
    """Uniform numbers for each row, drawn beforehand.

    Args:
        seeds: One for each row.
        n_throws: Numbers for each row.
    """

    def __init__(self, seeds: Sequence[int], n_throws: int) -> None:
        self._numbers = [
            torch.rand(n_throws, generator=torch.Generator().manual_seed(seed)).tolist()
            for seed in seeds
        ]

    def throw(self, rows: Sequence[int], numbers: Sequence[int], device: torch.device) -> Tensor:
        """The numbers of some rows.

        Args:
            rows: Indices into the seeds.
            numbers: Which number of each row, counted from its end: the first of n is -n. What
                lies outside gives 0.
            device: Where they are needed.

        Returns:
            Shape (len(rows),).
        """
        throws = [
            self._numbers[row][number] if -len(self._numbers[row]) <= number < 0 else 0.0
            for row, number in zip(rows, numbers, strict=True)
        ]
        return torch.tensor(throws, device=device)


def greedy(logits: Tensor, throws: Tensor | None = None) -> Tensor:
    """The most likely token of each row, the smallest id among equals.

    Args:
        logits: Shape (B, V).
        throws: Not used: nothing is left to chance.

    Returns:
        Ids, shape (B,).
    """
    return logits.argmax(dim=-1)


def draw(logits: Tensor, throws: Tensor) -> Tensor:
    """The token into whose share of [0, 1) a uniform number falls.

    The tokens' probabilities lie side by side from 0 to 1, in the order of the ids; a token that
    is excluded (-inf) has no share. Double precision keeps the shares of a large vocabulary apart.

    Args:
        logits: Shape (B, V).
        throws: Uniform numbers in [0, 1), shape (B,).

    Returns:
        Ids, shape (B,).

    Example:
        >>> draw(torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log(), torch.tensor([0.4, 0.6]))
        tensor([0, 1])
    """
    ends = logits.double().softmax(dim=-1).cumsum(dim=-1)  # (B, V)
    aims = throws.double().unsqueeze(-1) * ends[:, -1:]
    return torch.searchsorted(ends, aims, right=True).squeeze(-1)


def build_sampler(decoding: DecodingConfig) -> Sampler:
    """The sampler that a configuration describes: temperature, then top-k, then top-p.

    Args:
        decoding: Temperature (0 is greedy), top-k and top-p.
    """
    if decoding.temperature == 0:
        return greedy

    def sample(logits: Tensor, throws: Tensor) -> Tensor:
        logits = apply_temperature(logits.float(), decoding.temperature)
        if decoding.top_k is not None:
            logits = keep_top_k(logits, decoding.top_k)
        if decoding.top_p is not None:
            logits = keep_top_p(logits, decoding.top_p)
        return draw(logits, throws)

    return sample
