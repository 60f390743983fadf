"""Reshape next-token distributions. Pure functions: logits in, logits out, -inf means excluded.

Shapes: B batch, V vocabulary.
"""

import torch
from torch import Tensor


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Sharpen (below 1) or flatten (above 1) the distribution.

    Args:
        logits: Shape (B, V).
        temperature: Greater than 0; the logits are divided by it.

    Returns:
        Logits, shape (B, V).

    Raises:
        ValueError: If ``temperature`` is not greater than 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be greater than 0, got {temperature}")
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k most likely tokens (top-k sampling), and all that tie with the last of them.

    Args:
        logits: Shape (B, V).
        k: At least 1; more than V keeps all.

    Returns:
        Logits, shape (B, V), -inf for the others.

    Raises:
        ValueError: If ``k`` is below 1.

    Example:
        >>> keep_top_k(torch.tensor([[1.0, 3.0, 2.0]]), k=2)
        tensor([[-inf, 3., 2.]])
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    smallest_kept = logits.topk(min(k, logits.size(-1)), dim=-1).values[:, -1:]  # (B, 1)
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Tensor, p: float | Tensor) -> Tensor:
    """Keep the smallest set of tokens whose probability reaches ``p`` (nucleus sampling).

    The token that crosses ``p`` is kept, so at least one token always survives.

    Args:
        logits: Shape (B, V).
        p: Probability mass to keep, in (0, 1]; or one of each row, shape (B, 1).

    Returns:
        Logits, shape (B, V), -inf outside the nucleus.

    Raises:
        ValueError: If ``p`` is outside (0, 1].

    References:
        Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.

    Example:
        >>> keep_top_p(torch.tensor([[0.5, 0.3, 0.2]]).log(), p=0.6).exp()
        tensor([[0.5000, 0.3000, 0.0000]])
    """
    if isinstance(p, float | int) and not 0.0 < p <= 1.0:
        raise ValueError(f"p must be in (0, 1], got {p}")
    sorted_logits, order = logits.sort(dim=-1, descending=True)  # (B, V)
    probabilities = sorted_logits.softmax(dim=-1)
    mass_before = probabilities.cumsum(dim=-1) - probabilities  # of the more likely tokens
    excluded = torch.zeros_like(logits, dtype=torch.bool)
    excluded.scatter_(dim=-1, index=order, src=mass_before >= p)
    return logits.masked_fill(excluded, -torch.inf)
