"""Fused head and cross-entropy for CPUs: the same numbers with fewer passes over the logits.

The logits of a micro-batch are by far the largest tensor in training a small model: 2,048 tokens
× 22,000 vocabulary entries are 90 MB in bf16. Unfused, head and loss read and write such a tensor
about ten times, half of them in float32. Fused, each block of rows goes through the softmax while
it is in the CPU's cache and its gradient overwrites its logits: three passes.

Shapes: N tokens (B × T), C width, V vocabulary.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpt_core.models.autograd import AutogradContext

_BLOCK_VALUES = 1 << 20
"""Logits per block: 4 MB in float32, which fits into a CPU's cache."""


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of ``hidden @ weight.T`` against the targets, in nats.

    Equal to ``next_token_loss(hidden @ weight.T, targets)``, with the logits in autocast's dtype
    and the softmax in float32. With ``p = softmax(z)``, the gradient of ``-log p[target]`` with
    respect to the logits z is ``p - onehot(target)``, available as soon as the loss is.

    Args:
        hidden: Final hidden states, shape (B, T, C).
        weight: The head's weight, shape (V, C).
        targets: Ids of the next tokens, shape (B, T); none is ignored.

    Returns:
        A scalar in nats per token. It can be differentiated once.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    loss: Tensor = _HeadLoss.apply(hidden.flatten(0, 1), weight, targets.flatten())  # type: ignore[no-untyped-call]
    return loss


class _HeadLoss(torch.autograd.Function):
    """Computes the gradient of the logits in the forward pass, in the logits' memory."""

    @staticmethod
    def forward(ctx: AutogradContext, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
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
    def backward(ctx: AutogradContext, scale: Tensor) -> tuple[Tensor, Tensor, None]:
        gradient, hidden, weight = ctx.saved_tensors
        d_hidden = (gradient @ weight).mul_(scale)
        d_weight = (gradient.T @ hidden).mul_(scale)
        return d_hidden, d_weight, None


def _replace_by_gradient(logits: Tensor, targets: Tensor, n_tokens: int) -> Tensor:
    """Overwrite a block of logits with the gradient of the mean loss; return its summed loss."""
    index = targets[:, None]
    log_probs = logits.log_softmax(dim=-1, dtype=torch.float32)
    loss = -log_probs.gather(1, index).sum()
    gradient = log_probs.exp_()
    gradient.scatter_add_(1, index, gradient.new_full(index.shape, -1.0))
    logits.copy_(gradient.div_(n_tokens))
    return loss
