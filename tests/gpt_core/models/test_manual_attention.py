"""Attention with a hand-written backward pass, against the formula in float64."""

import pytest
import torch
import torch.nn.functional as F

from gpt_core.config import GPTConfig
from gpt_core.models import explicit_attention
from gpt_core.models.attention import MultiHeadAttention
from gpt_core.models.manual_attention import manual_attention, prefers_manual_backward


def random_inputs(*shape: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.randn(*shape, dtype=dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("n_tokens", [7, 128, 129, 300, 1030])
def test_output_and_gradients_equal_those_of_the_formula(n_tokens: int) -> None:
    """With one block of queries and with several, the last of them shorter."""
    inputs = random_inputs(2, 3, n_tokens, 4)
    ours, theirs = manual_attention(*inputs), explicit_attention(*inputs, causal=True)
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    gradients = (torch.autograd.grad(each, inputs, upstream) for each in (ours, theirs))
    for mine, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected)


def test_the_gradient_equals_finite_differences() -> None:
    assert torch.autograd.gradcheck(manual_attention, random_inputs(1, 2, 5, 3))


def test_a_second_derivative_is_refused() -> None:
    inputs = random_inputs(1, 2, 5, 3)
    loss = manual_attention(*inputs).square().sum()
    (first,) = torch.autograd.grad(loss, inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_in_bf16_it_is_about_as_accurate_as_torchs_kernel() -> None:
    exact = random_inputs(4, 2, 64, 32)
    rounded = [each.detach().bfloat16().requires_grad_() for each in exact]
    upstream = torch.randn(4, 2, 64, 32, dtype=torch.float64)
    wanted = torch.autograd.grad(explicit_attention(*exact, causal=True), exact, upstream)
    kernel = F.scaled_dot_product_attention(*rounded, is_causal=True)
    results = (
        torch.autograd.grad(each, rounded, upstream.bfloat16())
        for each in (manual_attention(*rounded), kernel)
    )
    for mine, theirs, expected in zip(*results, wanted, strict=True):
        errors = [(each.double() - expected).norm() / expected.norm() for each in (mine, theirs)]
        assert errors[0] < max(1.5 * errors[1], 0.02)


def test_it_is_preferred_for_training_in_bf16_only() -> None:
    query, key, _ = random_inputs(2, 2, 8, 4, dtype=torch.bfloat16)
    assert prefers_manual_backward(query, key, 0.0)
    assert not prefers_manual_backward(query.detach(), key.detach(), 0.0), "no gradient is needed"
    assert not prefers_manual_backward(query.float(), key.float(), 0.0)
    assert not prefers_manual_backward(query, key, 0.1)
    assert not prefers_manual_backward(query[:, :, :1], key, 0.0), "a cache is used"
    long = torch.empty(1, 1, 9000, 1, dtype=torch.bfloat16, requires_grad=True)
    assert not prefers_manual_backward(long, long, 0.0), "too many weights to store"


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_layer_has_nearly_the_same_gradients_under_autocast(dropout: float) -> None:
    config = GPTConfig(n_layer=1, n_head=2, n_embd=32, context_length=16, vocab_size=9)
    layer = MultiHeadAttention(config)
    layer.dropout = dropout
    x = torch.randn(3, 16, 32)
    layer.eval() if dropout else layer.train()
    plain = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = layer(x).float().square().sum()
    rounded = torch.autograd.grad(loss, list(layer.parameters()))
    for mine, expected in zip(rounded, plain, strict=True):
        assert (mine - expected).norm() < 0.05 * expected.norm() + 1e-3
