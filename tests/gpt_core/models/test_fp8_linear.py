"""The FP8 linear layer against exact products of the quantized operands."""

import pytest
import torch
from torch import Tensor

from gpt_core.models.fp8_linear import fp8_linear

B, T, C, V = 2, 24, 64, 96


def quantized(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Quantize to FP8 and back, in float64."""
    scale = matrix.abs().max().double() / torch.finfo(dtype).max
    return (matrix.double() / scale).float().to(dtype).double() * scale


@pytest.fixture
def operands() -> tuple[Tensor, Tensor]:
    return torch.randn(B, T, C, requires_grad=True), torch.randn(V, C, requires_grad=True)


def test_the_output_is_the_exact_product_of_the_quantized_operands(
    operands: tuple[Tensor, Tensor],
) -> None:
    hidden, weight = operands
    product = fp8_linear(hidden, weight)
    expected = quantized(hidden, torch.float8_e4m3fn) @ quantized(weight, torch.float8_e4m3fn).T
    assert product.dtype == torch.bfloat16
    torch.testing.assert_close(product.double(), expected, rtol=2**-7, atol=2e-2)


def test_the_gradients_are_exact_products_of_the_quantized_operands(
    operands: tuple[Tensor, Tensor],
) -> None:
    hidden, weight = operands
    upstream = (torch.randn(B, T, V) * 1e-5).bfloat16()
    d_hidden, d_weight = torch.autograd.grad(fp8_linear(hidden, weight), operands, upstream)
    left = quantized(upstream.float(), torch.float8_e5m2)
    torch.testing.assert_close(
        d_hidden.double(), left @ quantized(weight, torch.float8_e4m3fn), rtol=1e-4, atol=1e-8
    )
    right = quantized(hidden, torch.float8_e4m3fn).flatten(0, 1)
    torch.testing.assert_close(
        d_weight.double(), left.flatten(0, 1).T @ right, rtol=1e-4, atol=1e-8
    )


def test_zeros_stay_zeros() -> None:
    assert torch.equal(
        fp8_linear(torch.zeros(1, 16, 16), torch.randn(16, 16)).float(), torch.zeros(1, 16, 16)
    )
