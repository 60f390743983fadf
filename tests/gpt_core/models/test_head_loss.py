"""Head and loss in one give what they give one after the other."""

import pytest
import torch
from torch import Tensor

from gpt_core.models import head_loss, next_token_loss

B, T, C, V = 3, 7, 16, 50
BLOCKS = 1_000_003
"""A vocabulary so large that a block is a single row."""


def _gradients(loss: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    return loss.detach(), *torch.autograd.grad(loss * 0.25, parameters)


def _inputs(vocab_size: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    hidden = torch.randn(B, T, width, requires_grad=True)
    weight = torch.randn(vocab_size, width, requires_grad=True)
    return hidden, weight, torch.randint(vocab_size, (B, T))


@pytest.mark.parametrize(("vocab_size", "width"), [(V, C), (BLOCKS, 1)])
def test_loss_and_gradients_equal_those_of_two_steps(vocab_size: int, width: int) -> None:
    hidden, weight, targets = _inputs(vocab_size, width)
    together = _gradients(head_loss(hidden, weight, targets), hidden, weight)
    apart = _gradients(next_token_loss(hidden @ weight.T, targets), hidden, weight)
    torch.testing.assert_close(together, apart)


def test_under_autocast_the_products_are_rough_and_the_statistics_are_not() -> None:
    hidden, weight, targets = _inputs(V, C)
    with torch.autocast("cpu", torch.bfloat16):
        together = _gradients(head_loss(hidden, weight, targets), hidden, weight)
        apart = _gradients(next_token_loss(hidden @ weight.T, targets), hidden, weight)
    assert together[0].dtype == together[1].dtype == together[2].dtype == torch.float32
    torch.testing.assert_close(together[0], apart[0])
    torch.testing.assert_close(together[1:], apart[1:], rtol=2e-2, atol=2e-3)


def test_extreme_logits_do_not_overflow() -> None:
    hidden, weight = torch.tensor([[[1e4]]]), torch.tensor([[1.0], [-1.0]])
    loss = head_loss(hidden, weight, torch.tensor([[1]]))
    assert loss.item() == pytest.approx(2e4)
