"""The fused head and loss against the unfused ones."""

import pytest
import torch
from torch import Tensor

from gpt_core.models import head_loss, next_token_loss

B, T, C, V = 3, 7, 16, 50
LARGE_V = 1_000_003  # a block is a single row


def _gradients(loss: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    return loss.detach(), *torch.autograd.grad(loss * 0.25, parameters)


def _inputs(vocab_size: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    hidden = torch.randn(B, T, width, requires_grad=True)
    weight = torch.randn(vocab_size, width, requires_grad=True)
    return hidden, weight, torch.randint(vocab_size, (B, T))


@pytest.mark.parametrize(("vocab_size", "width"), [(V, C), (LARGE_V, 1)])
def test_fused_loss_and_gradients_equal_the_unfused_ones(vocab_size: int, width: int) -> None:
    hidden, weight, targets = _inputs(vocab_size, width)
    fused = _gradients(head_loss(hidden, weight, targets), hidden, weight)
    unfused = _gradients(next_token_loss(hidden @ weight.T, targets), hidden, weight)
    torch.testing.assert_close(fused, unfused)


def test_under_autocast_logits_are_in_bf16_and_the_softmax_is_in_float32() -> None:
    hidden, weight, targets = _inputs(V, C)
    with torch.autocast("cpu", torch.bfloat16):
        fused = _gradients(head_loss(hidden, weight, targets), hidden, weight)
        unfused = _gradients(next_token_loss(hidden @ weight.T, targets), hidden, weight)
    assert fused[0].dtype == fused[1].dtype == fused[2].dtype == torch.float32
    torch.testing.assert_close(fused[0], unfused[0])
    torch.testing.assert_close(fused[1:], unfused[1:], rtol=2e-2, atol=2e-3)


def test_a_second_derivative_is_refused() -> None:
    hidden, weight, targets = _inputs(V, C)
    loss = head_loss(hidden, weight, targets).square()
    (first,) = torch.autograd.grad(loss, hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_extreme_logits_do_not_overflow() -> None:
    hidden, weight = torch.tensor([[[1e4]]]), torch.tensor([[1.0], [-1.0]])
    loss = head_loss(hidden, weight, torch.tensor([[1]]))
    assert loss.item() == pytest.approx(2e4)
