"""Samplers: from next-token logits to a token id.

A sampler is a pure function of the logits and one uniform number per row. The engine draws those
numbers from one seed per request and samples the same tokens by faster ways (``row_draws``).

Shapes: B rows, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig
from gpt_core.generation.logits import apply_temperature, keep_top_k, keep_top_p

Sampler = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, V) and uniform numbers in [0, 1) (B,) to ids (B,)."""


def greedy(logits: Tensor, uniforms: Tensor | None = None) -> Tensor:
    """The most likely token of each row; of equally likely ones the smallest id.

    Args:
        logits: Shape (B, V).
        uniforms: Ignored; accepted so that this is a ``Sampler``.

    Returns:
        Ids, shape (B,).
    """
    return logits.argmax(dim=-1)


def sample_token(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Sample a token per row by inverting the cumulative distribution.

    Returns the first token whose cumulative probability exceeds the uniform number; an excluded
    token (-inf) is never returned. Computed in double precision, because in single precision the
    cumulative sum of a large vocabulary loses its small probabilities.

    Args:
        logits: Shape (B, V).
        uniforms: Numbers in [0, 1), shape (B,).

    Returns:
        Ids, shape (B,).

    Example:
        >>> logits = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
        >>> sample_token(logits, torch.tensor([0.4, 0.6]))
        tensor([0, 1])
    """
    cumulative = logits.double().softmax(dim=-1).cumsum(dim=-1)  # (B, V)
    thresholds = uniforms.double().unsqueeze(-1) * cumulative[:, -1:]  # rounding: not quite 1
    return torch.searchsorted(cumulative, thresholds, right=True).squeeze(-1)


def build_sampler(decoding: DecodingConfig) -> Sampler:
    """The sampler of a configuration: temperature, then top-k, then top-p, then a draw.

    Args:
        decoding: Temperature (0 is greedy), top-k and top-p.
    """
    if decoding.temperature == 0:
        return greedy

    def sample(logits: Tensor, uniforms: Tensor) -> Tensor:
        logits = apply_temperature(logits.float(), decoding.temperature)
        if decoding.top_k is not None:
            logits = keep_top_k(logits, decoding.top_k)
        if decoding.top_p is not None:
            logits = keep_top_p(logits, decoding.top_p)
        return sample_token(logits, uniforms)

    return sample
