"""The head and its loss in one: the same numbers without the many passes over the logits.

The logits of a micro-batch are by far the largest tensor of a small model's training: 2,048
tokens × 22,000 pieces are 90 MB in bf16. Head and loss apart read and write such a tensor about
ten times, half of them in float32. Here each block of rows goes through the softmax while it is
in the processor's cache and its gradient takes the place of its logits: three passes.

Shapes: N tokens (B × T), C width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK_VALUES = 1 << 20
"""Logits of one block: 4 MB in float32, which a processor's cache holds."""


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of ``hidden @ weight.T`` against the targets, in nats.

    ``next_token_loss(hidden @ weight.T, targets)`` and its gradients, the logits in the type
    that autocast gives them and the statistics in float32. With ``p = softmax(z)`` the gradient
    of ``-log p[target]`` by the logits is ``p - onehot(target)``, known as soon as the loss is.

    Args:
        hidden: What the head reads, shape (B, T, C).
        weight: Of the head, shape (V, C).
        targets: Ids of the next tokens, shape (B, T); every one counts.

    Returns:
        A scalar in nats a token. It can be differentiated once.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    loss: Tensor = _HeadLoss.apply(hidden.flatten(0, 1), weight, targets.flatten())  # type: ignore[no-untyped-call]
    return loss


class _HeadLoss(torch.autograd.Function):
    """Computes the logits' gradient in the forward pass, in the logits' own memory."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            logits = hidden @ weight.T  # (N, V)
        rows = max(1, _BLOCK_VALUES // logits.size(1))
        losses = [
            _replace_by_gradient(block, ids, targets.numel())
            for block, ids in zip(
                torch.split(logits, rows), torch.split(targets, rows), strict=True
            )
        ]
        ctx.save_for_backward(logits, hidden, weight)
        return torch.stack(losses).sum() / targets.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None]:
        gradient, hidden, weight = ctx.saved_tensors
        by_hidden = (gradient @ weight).mul_(scale)
        by_weight = (gradient.T @ hidden).mul_(scale)
        return by_hidden, by_weight, None


def _replace_by_gradient(logits: Tensor, targets: Tensor, n_tokens: int) -> Tensor:
    """Turn a block of logits into the mean loss's gradient by them; the sum of its losses."""
    chosen = targets[:, None]
    log_probs = logits.log_softmax(dim=-1, dtype=torch.float32)
    loss = -log_probs.gather(1, chosen).sum()
    gradient = log_probs.exp_()
    gradient.scatter_add_(1, chosen, gradient.new_full(chosen.shape, -1.0))
    logits.copy_(gradient.div_(n_tokens))
    return loss
