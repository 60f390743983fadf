"""A matrix product in 8 bits, with its gradient: for the head, a third of a small GPT's arithmetic.

A number of 8 bits has a range but hardly any digits, so each matrix is scaled until its largest
value is the largest number of the type; what is multiplied is summed with more. The forward pass
takes e4m3 (4 bits of exponent, 3 of mantissa), gradients, which differ more in size, e5m2.

Shapes: N tokens (B × T), C width, V rows of the weight; all multiples of 16.

References:
    Micikevicius et al. 2022, "FP8 Formats for Deep Learning", sections 3 and 4.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import ScalingType, scaled_mm

_VALUES, _GRADIENTS = torch.float8_e4m3fn, torch.float8_e5m2


def fp8_linear(hidden: Tensor, weight: Tensor) -> Tensor:
    """``hidden @ weight.T`` and its gradients, of factors rounded to 8 bits.

    Args:
        hidden: Shape (B, T, C).
        weight: Shape (V, C).

    Returns:
        Shape (B, T, V), in bfloat16. It can be differentiated once.
    """
    product: Tensor = _Fp8Linear.apply(hidden.flatten(0, 1), weight)  # type: ignore[no-untyped-call]
    return product.view(*hidden.shape[:2], -1)


class _Fp8Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor) -> Tensor:
        rounded_hidden, hidden_scale = _quantize(hidden, _VALUES)
        rounded_weight, weight_scale = _quantize(weight, _VALUES)
        ctx.save_for_backward(rounded_hidden, hidden_scale, rounded_weight, weight_scale)
        ctx.types = hidden.dtype, weight.dtype
        return _scaled_matmul(
            rounded_hidden, hidden_scale, rounded_weight, weight_scale, torch.bfloat16, fast=True
        )  # (N, V)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        hidden, hidden_scale, weight, weight_scale = ctx.saved_tensors
        hidden_type, weight_type = ctx.types
        rounded, scale = _quantize(gradient, _GRADIENTS)
        by_hidden = _scaled_matmul(rounded, scale, _transposed(weight), weight_scale, hidden_type)
        by_weight = _scaled_matmul(
            _transposed(rounded), scale, _transposed(hidden), hidden_scale, weight_type
        )
        return by_hidden, by_weight


def _quantize(matrix: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """A matrix in 8 bits, and what it is to be multiplied with."""
    largest = matrix.abs().amax().float()
    scale = (largest / torch.finfo(kind).max).clamp(min=torch.finfo(torch.float32).tiny)
    return (matrix.float() / scale).to(kind), scale


def _scaled_matmul(
    left: Tensor,
    left_scale: Tensor,
    right: Tensor,
    right_scale: Tensor,
    kind: torch.dtype,
    *,
    fast: bool = False,
) -> Tensor:
    """``left @ right.T``: the rows of both lie in one piece, as the hardware wants them.

    Args:
        left: Shape (n, k).
        left_scale: A scalar.
        right: Shape (m, k).
        right_scale: A scalar.
        kind: Of the result.
        fast: Let a GPU add up with fewer digits.
    """
    whole = ScalingType.TensorWise
    return scaled_mm(
        left, right.T, left_scale, whole, right_scale, whole,
        output_dtype=kind, use_fast_accum=fast and left.is_cuda,
    )  # fmt: skip


def _transposed(matrix: Tensor) -> Tensor:
    """The transposed matrix, its rows in one piece."""
    return matrix.T.contiguous()
