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


def pays(query: Tensor, key: Tensor, dropout: float) -> bool:
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


def written_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
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
    mixed: Tensor = _WrittenAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
    return mixed


class _WrittenAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.scale = 1 / math.sqrt(query.size(-1))
        T = query.size(-2)
        later = torch.ones(T, T, dtype=torch.bool).triu_(1)
        with torch.autocast("cpu", enabled=False):  # which would take the softmax out of bf16
            scores = (query * ctx.scale) @ key.transpose(-1, -2)  # (B, H, T, T)
            weights = scores.masked_fill_(later, -torch.inf).softmax(dim=-1)
            mixed: Tensor = weights @ value
        ctx.save_for_backward(query, key, value, weights, mixed)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, weights, mixed = ctx.saved_tensors
        row_sums = (grad * mixed).sum(dim=-1, keepdim=True)  # (B, H, T, 1)
        d_scores = (grad @ value.transpose(-1, -2)).sub_(row_sums).mul_(weights).mul_(ctx.scale)
        d_value = weights.transpose(-1, -2) @ grad
        return d_scores @ key, d_scores.transpose(-1, -2) @ query, d_value
