"""Draw a token for each row, each with its own top-k and top-p, without sorting the vocabulary.

The tokens are those that ``build_sampler`` draws from the same uniform numbers, up to the rounding
of a probability.

Shapes: B rows, V vocabulary, K candidates.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.generation.logits import keep_top_k, keep_top_p
from gpt_core.generation.samplers import sample_token

_MAX_TOP_K = 1024  # a larger one is left to the full sort
_BLOCK = 256  # tokens
_N_BINS, _BINS_PER_NAT = 1024, 32.0


def draw_unfiltered(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw from all tokens by inverting the cumulative distribution, first over blocks of tokens.

    Args:
        logits: In float32, shape (B, V).
        uniforms: Numbers in [0, 1), in float64, shape (B,).

    Returns:
        Ids, shape (B,).
    """
    B, V = logits.shape
    weights = torch.nn.functional.pad(logits.softmax(dim=-1), (0, -V % _BLOCK))
    weights = weights.view(B, -1, _BLOCK)
    masses = weights.sum(dim=-1).double()
    ends = masses.cumsum(dim=-1)  # (B, V / block)
    targets = uniforms[:, None] * ends[:, -1:]  # (B, 1)
    block = torch.searchsorted(ends, targets, right=True).clamp_(max=ends.size(1) - 1)
    before = ends.gather(1, block) - masses.gather(1, block)
    rows = torch.arange(B, device=logits.device)
    inside = weights[rows, block[:, 0]].double().cumsum(dim=-1)  # (B, block)
    last = torch.nextafter(inside[:, -1:], torch.zeros_like(targets))  # never behind the block
    place = torch.searchsorted(inside, torch.minimum(targets - before, last), right=True)
    return (block * _BLOCK + place).clamp_(max=V - 1)[:, 0]


def draw_nucleus(logits: Tensor, uniforms: Tensor, top_p: Tensor) -> Tensor:
    """Draw from the smallest set of tokens whose probability reaches p (nucleus sampling).

    Tokens are put into bins by their logits; the bin in which the mass reaches p is the only one
    that must be sorted.

    Args:
        logits: In float32, shape (B, V).
        uniforms: Numbers in [0, 1), in float64, shape (B,).
        top_p: In float64, shape (B,).

    Returns:
        Ids, shape (B,).
    """
    B = logits.size(0)
    probabilities = logits.softmax(dim=-1)
    depth = (logits.amax(dim=-1, keepdim=True) - logits).mul_(_BINS_PER_NAT)
    bins = depth.clamp_(max=_N_BINS - 1).long().clamp_(min=0)  # NaN becomes a negative integer
    mass = logits.new_zeros(B, _N_BINS).scatter_add_(1, bins, probabilities).double()
    ends = mass.cumsum(dim=-1)
    crossing = (ends < top_p[:, None]).sum(dim=-1, keepdim=True).clamp_(max=_N_BINS - 1)
    before = (ends - mass).gather(1, crossing)
    drawn = torch.empty(B, dtype=torch.long, device=logits.device)
    for row in range(B):
        ids = (bins[row] <= crossing[row]).nonzero()[:, 0]
        weights = probabilities[row][ids].double()
        edge = (bins[row][ids] == crossing[row]).nonzero()[:, 0]
        sorted_edge, order = weights[edge].sort(descending=True)
        mass_before = before[row] + sorted_edge.cumsum(dim=0) - sorted_edge
        weights[edge[order[mass_before >= top_p[row]]]] = 0
        ends_of_ids = weights.cumsum(dim=0)
        place = torch.searchsorted(ends_of_ids, uniforms[row] * ends_of_ids[-1], right=True)
        drawn[row] = ids[place.clamp_(max=len(ids) - 1)]
    return drawn


def draw_sorted_nucleus(logits: Tensor, uniforms: Tensor, top_p: Tensor) -> Tensor:
    """``draw_nucleus`` by sorting all rows at once: faster where there are many cores, as in a GPU.

    Args:
        logits: In float32, shape (B, V).
        uniforms: Numbers in [0, 1), in float64, shape (B,).
        top_p: In float64, shape (B,).

    Returns:
        Ids, shape (B,).
    """
    return sample_token(keep_top_p(logits, top_p[:, None]), uniforms)


def draw_top_k(
    logits: Tensor, uniforms: Tensor, top_k: Sequence[int], top_p: Sequence[float | None]
) -> Tensor:
    """Draw from the k most likely tokens, and of these from the nucleus of p.

    Args:
        logits: In float32, shape (B, V).
        uniforms: Numbers in [0, 1), in float64, shape (B,).
        top_k: Of each row.
        top_p: Of each row; None keeps all of the k.

    Returns:
        Ids, shape (B,).
    """
    V, device = logits.size(-1), logits.device
    n_candidates = min(V, _MAX_TOP_K, max(top_k)) + 1
    values, ids = logits.topk(min(V, n_candidates), dim=-1)  # (B, K)
    counts = torch.tensor([min(k, V) for k in top_k], device=device)[:, None]
    smallest = values.gather(1, counts.clamp(max=values.size(1)) - 1)
    kept = values >= smallest  # also those that tie with the last of the k
    probabilities = values.masked_fill(~kept, -torch.inf).softmax(dim=-1)
    limits = torch.tensor([2.0 if p is None else p for p in top_p], device=device)[:, None]
    inside = kept & (probabilities.cumsum(dim=-1) - probabilities < limits)
    drawn = _draw_kept(values, ids, inside, uniforms, V)
    if values.size(1) < V:  # more may tie, or be asked for, than there are candidates
        for row in kept[:, -1].nonzero()[:, 0].tolist():
            drawn[row] = _draw_sorted(logits[row], uniforms[row], top_k[row], top_p[row])
    return drawn


def _draw_kept(values: Tensor, ids: Tensor, kept: Tensor, uniforms: Tensor, V: int) -> Tensor:
    """Draw from candidates (B, K) in the order of their ids, as over the whole vocabulary."""
    ids, order = ids.masked_fill(~kept, V).sort(dim=-1)
    values = values.masked_fill(~kept, -torch.inf).gather(1, order)
    place = sample_token(values, uniforms).clamp_(max=ids.size(1) - 1)
    return ids.gather(1, place[:, None])[:, 0].clamp_(max=V - 1)


def _draw_sorted(row: Tensor, uniform: Tensor, top_k: int, top_p: float | None) -> Tensor:
    """Draw from one row (V,) with filters over its whole vocabulary."""
    logits = keep_top_k(row[None], top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return sample_token(logits, uniform[None])[0].clamp(max=row.numel() - 1)
