"""A product in 8 bits is the exact product of the rounded factors, and so are its gradients."""

import pytest
import torch
from torch import Tensor

from gpt_core.models.fp8_linear import fp8_linear

B, T, C, V = 2, 24, 64, 96


def rounded(matrix: Tensor, kind: torch.dtype) -> Tensor:
    """In 8 bits and back, in float64."""
    scale = matrix.abs().max().double() / torch.finfo(kind).max
    return (matrix.double() / scale).float().to(kind).double() * scale


@pytest.fixture
def factors() -> tuple[Tensor, Tensor]:
    return torch.randn(B, T, C, requires_grad=True), torch.randn(V, C, requires_grad=True)


def test_the_product_is_that_of_the_rounded_factors(factors: tuple[Tensor, Tensor]) -> None:
    hidden, weight = factors
    product = fp8_linear(hidden, weight)
    expected = rounded(hidden, torch.float8_e4m3fn) @ rounded(weight, torch.float8_e4m3fn).T
    assert product.dtype == torch.bfloat16
    torch.testing.assert_close(product.double(), expected, rtol=2**-7, atol=2e-2)


def test_the_gradients_are_those_of_the_rounded_factors(factors: tuple[Tensor, Tensor]) -> None:
    hidden, weight = factors
    upstream = (torch.randn(B, T, V) * 1e-5).bfloat16()
    by_hidden, by_weight = torch.autograd.grad(fp8_linear(hidden, weight), factors, upstream)
    left = rounded(upstream.float(), torch.float8_e5m2)
    torch.testing.assert_close(
        by_hidden.double(), left @ rounded(weight, torch.float8_e4m3fn), rtol=1e-4, atol=1e-8
    )
    right = rounded(hidden, torch.float8_e4m3fn).flatten(0, 1)
    torch.testing.assert_close(
        by_weight.double(), left.flatten(0, 1).T @ right, rtol=1e-4, atol=1e-8
    )


def test_zeros_stay_zeros() -> None:
    assert torch.equal(
        fp8_linear(torch.zeros(1, 16, 16), torch.randn(16, 16)).float(), torch.zeros(1, 16, 16)
    )
