"""Causal attention with its gradient written out: for training on a processor in bf16.

Torch's fused kernel saves memory by computing the attention weights a second time in the backward
pass, which on a processor takes three to five times as long as keeping them. Here they are kept.

Shapes: B batch, H heads, T tokens, D head width.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_MOST_WEIGHTS = 1 << 26  # B × H × T × T that are kept for each layer: 128 MiB in bf16

_MOST_BLOCKS, _LEAST_BLOCK = 4, 128
"""Of queries: with four blocks three eighths of the weights are never computed."""


def prefers_manual_backward(query: Tensor, key: Tensor, dropout: float) -> bool:
    """Whether attention is to be computed here rather than by torch's fused kernel.

    Args:
        query: Shape (B, H, T, D).
        key: Shape (B, H, S, D); S is T unless there is a cache.
        dropout: Of the attention weights, which this has none of.
    """
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.requires_grad
        and dropout == 0.0
        and query.size(-2) == key.size(-2)
        and query.shape[:-1].numel() * key.size(-2) <= _MOST_WEIGHTS
    )


def manual_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(D)) v``, each token seeing itself and those before it.

    With P the weights, O the result and dO its gradient: ``dV = P^T dO``,
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
    mixed: Tensor = _ManualAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
    return mixed


class _ManualAttention(torch.autograd.Function):
    """A block of queries at a time, with the keys up to its last: what lies later costs nothing.

    Shapes: P heads of all samples (B × H), N queries of a block, E tokens up to its last one.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        shape = query.shape
        ctx.scale = 1 / math.sqrt(shape[-1])
        query, key, value = (
            each.reshape(-1, *shape[2:]) for each in (query * ctx.scale, key, value)
        )  # each (P, T, D)
        ctx.blocks = _blocks(shape[2])
        mixed, kept = torch.empty_like(query), []
        for start, end in ctx.blocks:
            later = torch.ones(end - start, end - start, dtype=torch.bool).triu_(1)
            with torch.autocast("cpu", enabled=False):  # which would take the softmax out of bf16
                scores = torch.bmm(query[:, start:end], key[:, :end].mT)  # (P, N, E)
                scores[:, :, start:].masked_fill_(later, -torch.inf)
                weights = scores.softmax(dim=-1)
                mixed[:, start:end] = torch.bmm(weights, value[:, :end])
            kept.append(weights)
        ctx.save_for_backward(query, key, value, mixed, *kept)
        return mixed.view(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, mixed, *kept = ctx.saved_tensors  # the query is scaled
        shape, grad = grad.shape, grad.reshape(query.shape)
        row_sums = (grad * mixed).sum(dim=-1, keepdim=True)  # (P, T, 1)
        d_query, d_key, d_value = (torch.zeros_like(each) for each in (query, key, value))
        for (start, end), weights in zip(ctx.blocks, kept, strict=True):
            upstream = grad[:, start:end]
            d_scores = torch.bmm(upstream, value[:, :end].mT)  # (P, N, E)
            d_scores.sub_(row_sums[:, start:end]).mul_(weights)
            d_query[:, start:end] = torch.bmm(d_scores, key[:, :end]).mul_(ctx.scale)
            d_key[:, :end] += torch.bmm(d_scores.mT, query[:, start:end])
            d_value[:, :end] += torch.bmm(weights.mT, upstream)
        return d_query.view(shape), d_key.view(shape), d_value.view(shape)


def _blocks(T: int) -> list[tuple[int, int]]:
    """Where the blocks of queries begin and end."""
    size = max(_LEAST_BLOCK, -(-T // _MOST_BLOCKS))
    return [(start, min(start + size, T)) for start in range(0, T, size)]
