"""Causal attention with a hand-written backward pass, for training on a CPU in bf16.

Torch's fused kernel saves memory by recomputing the attention weights in the backward pass, which
on a CPU takes three to five times as long as storing them. Here they are stored.

Shapes: B batch, H heads, T tokens, D head width.
"""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpt_core.models.autograd import AutogradContext

_MAX_WEIGHTS = 1 << 26  # B × H × T × T stored per layer: 128 MiB in bf16

_MAX_BLOCKS, _MIN_BLOCK = 4, 128
"""Blocks of queries, and queries per block: four blocks skip three eighths of the weights."""


def prefers_manual_backward(query: Tensor, key: Tensor, dropout: float) -> bool:
    """Whether ``manual_attention`` supports these tensors and is faster than torch's SDPA.

    Args:
        query: Shape (B, H, T, D).
        key: Shape (B, H, S, D); S is T unless there is a cache.
        dropout: Probability of dropping an attention weight; only 0 is supported.
    """
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.requires_grad
        and dropout == 0.0
        and query.size(-2) == key.size(-2)
        and query.shape[:-1].numel() * key.size(-2) <= _MAX_WEIGHTS
    )


def manual_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal scaled dot-product attention, ``softmax(q k^T / sqrt(D)) v``, and its gradients.

    With P the weights, O the output and dO its gradient: ``dV = P^T dO``,
    ``dS = P * (dO V^T - rowsum(dO * O)) / sqrt(D)``, ``dQ = dS K``, ``dK = dS^T Q``.

    Args:
        query: Shape (B, H, T, D).
        key: Shape (B, H, T, D).
        value: Shape (B, H, T, D).

    Returns:
        Shape (B, H, T, D).

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1; Dao et al. 2022,
        "FlashAttention", appendix B.2 (the row sum).
    """
    out: Tensor = _ManualAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
    return out


class _Context(AutogradContext):
    scale: float
    blocks: list[tuple[int, int]]


class _ManualAttention(torch.autograd.Function):
    """Processes blocks of queries, each with the keys up to its last query only.

    Shapes: P heads of all samples (B × H), N queries of a block, E tokens up to its last one.
    """

    @staticmethod
    def forward(ctx: _Context, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        shape = query.shape
        ctx.scale = 1 / math.sqrt(shape[-1])
        query, key, value = (
            each.reshape(-1, *shape[2:]) for each in (query * ctx.scale, key, value)
        )  # each (P, T, D)
        ctx.blocks = _blocks(shape[2])
        out, saved = torch.empty_like(query), []
        for start, end in ctx.blocks:
            later = torch.ones(end - start, end - start, dtype=torch.bool).triu_(1)
            with torch.autocast("cpu", enabled=False):  # it would run the softmax in float32
                scores = torch.bmm(query[:, start:end], key[:, :end].mT)  # (P, N, E)
                scores[:, :, start:].masked_fill_(later, -torch.inf)
                weights = scores.softmax(dim=-1)
                out[:, start:end] = torch.bmm(weights, value[:, :end])
            saved.append(weights)
        ctx.save_for_backward(query, key, value, out, *saved)
        return out.view(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, out, *saved = ctx.saved_tensors  # the query is scaled
        shape, grad = grad.shape, grad.reshape(query.shape)
        row_sums = (grad * out).sum(dim=-1, keepdim=True)  # (P, T, 1)
        d_query, d_key, d_value = (torch.zeros_like(each) for each in (query, key, value))
        for (start, end), weights in zip(ctx.blocks, saved, strict=True):
            upstream = grad[:, start:end]
            d_scores = torch.bmm(upstream, value[:, :end].mT)  # (P, N, E)
            d_scores.sub_(row_sums[:, start:end]).mul_(weights)
            d_query[:, start:end] = torch.bmm(d_scores, key[:, :end]).mul_(ctx.scale)
            d_key[:, :end] += torch.bmm(d_scores.mT, query[:, start:end])
            d_value[:, :end] += torch.bmm(weights.mT, upstream)
        return d_query.view(shape), d_key.view(shape), d_value.view(shape)


def _blocks(T: int) -> list[tuple[int, int]]:
    """Start and end of each block of queries."""
    size = max(_MIN_BLOCK, -(-T // _MAX_BLOCKS))
    return [(start, min(start + size, T)) for start in range(0, T, size)]
