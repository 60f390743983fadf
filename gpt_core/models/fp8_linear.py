"""An FP8 linear layer with its gradients, for the head: a third of a small GPT's FLOPs.

FP8 has little precision, so each matrix is scaled to use the full range; products accumulate in
higher precision. The forward pass uses e4m3 (4 bits of exponent, 3 of mantissa); gradients, whose
magnitudes vary more, use e5m2.

Shapes: N tokens (B × T), C width, V rows of the weight; all multiples of 16.

References:
    Micikevicius et al. 2022, "FP8 Formats for Deep Learning", sections 3 and 4.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import ScalingType, scaled_mm

from gpt_core.models.autograd import AutogradContext

_VALUES, _GRADIENTS = torch.float8_e4m3fn, torch.float8_e5m2


def fp8_linear(hidden: Tensor, weight: Tensor) -> Tensor:
    """``hidden @ weight.T`` with operands and gradients quantized to FP8, one scale per tensor.

    Args:
        hidden: Shape (B, T, C).
        weight: Shape (V, C).

    Returns:
        Shape (B, T, V), in bfloat16. It can be differentiated once.
    """
    out: Tensor = _Fp8Linear.apply(hidden.flatten(0, 1), weight)  # type: ignore[no-untyped-call]
    return out.view(*hidden.shape[:2], -1)


class _Context(AutogradContext):
    dtypes: tuple[torch.dtype, torch.dtype]


class _Fp8Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, hidden: Tensor, weight: Tensor) -> Tensor:
        ctx.dtypes = hidden.dtype, weight.dtype
        hidden, hidden_scale = _quantize(hidden, _VALUES)
        weight, weight_scale = _quantize(weight, _VALUES)
        ctx.save_for_backward(hidden, hidden_scale, weight, weight_scale)
        return _scaled_matmul(
            hidden, hidden_scale, weight, weight_scale, torch.bfloat16, fast_accum=True
        )  # (N, V)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor, Tensor]:
        hidden, hidden_scale, weight, weight_scale = ctx.saved_tensors
        hidden_dtype, weight_dtype = ctx.dtypes
        grad, scale = _quantize(grad, _GRADIENTS)
        d_hidden = _scaled_matmul(grad, scale, _transposed(weight), weight_scale, hidden_dtype)
        d_weight = _scaled_matmul(
            _transposed(grad), scale, _transposed(hidden), hidden_scale, weight_dtype
        )
        return d_hidden, d_weight


def _quantize(matrix: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Quantize a matrix to FP8.

    Returns:
        The quantized matrix, and the scale by which to multiply it to restore its values.
    """
    largest = matrix.abs().amax().float()
    scale = (largest / torch.finfo(dtype).max).clamp(min=torch.finfo(torch.float32).tiny)
    return (matrix.float() / scale).to(dtype), scale


def _scaled_matmul(
    left: Tensor,
    left_scale: Tensor,
    right: Tensor,
    right_scale: Tensor,
    dtype: torch.dtype,
    *,
    fast_accum: bool = False,
) -> Tensor:
    """``left @ right.T`` of FP8 matrices; both are contiguous, as the hardware requires.

    Args:
        left: Shape (n, k).
        left_scale: A scalar.
        right: Shape (m, k).
        right_scale: A scalar.
        dtype: Dtype of the result.
        fast_accum: Let a GPU accumulate in lower precision.
    """
    per_tensor = ScalingType.TensorWise
    return scaled_mm(
        left, right.T, left_scale, per_tensor, right_scale, per_tensor,
        output_dtype=dtype, use_fast_accum=fast_accum and left.is_cuda,
    )  # fmt: skip


def _transposed(matrix: Tensor) -> Tensor:
    """A contiguous transpose."""
    return matrix.T.contiguous()
