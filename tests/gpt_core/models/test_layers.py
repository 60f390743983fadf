import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.models import GELU, FeedForward, LayerNorm
from gpt_core.models.layers import Dropout


def test_layer_norm_gives_mean_0_and_variance_1() -> None:
    x = torch.randn(5, 7, 32, generator=torch.Generator().manual_seed(0)) * 9 + 4
    y = LayerNorm(32, explicit=True)(x)
    torch.testing.assert_close(y.mean(-1), torch.zeros(5, 7), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(-1, unbiased=False), torch.ones(5, 7), atol=1e-4, rtol=0)


def test_layer_norm_maps_a_constant_vector_to_the_bias() -> None:
    norm = LayerNorm(8, explicit=True)
    torch.nn.init.constant_(norm.bias, 3.0)
    assert torch.equal(norm(torch.full((1, 8), 5.0)), torch.full((1, 8), 3.0))


@pytest.mark.parametrize("bias", [True, False])
def test_explicit_and_fused_layer_norm_agree_forward_and_backward(bias: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    explicit, fused = (LayerNorm(16, bias=bias, explicit=explicit) for explicit in (True, False))
    torch.nn.init.normal_(explicit.weight, generator=generator)
    fused.load_state_dict(explicit.state_dict())
    x = torch.randn(4, 16, generator=generator).requires_grad_()
    upstream = torch.randn(4, 16, generator=generator)
    (by_formula,) = torch.autograd.grad(explicit(x), x, upstream)
    (by_kernel,) = torch.autograd.grad(fused(x), x, upstream)
    torch.testing.assert_close(explicit(x), fused(x))
    torch.testing.assert_close(by_formula, by_kernel)


@pytest.mark.parametrize("explicit", [True, False])
def test_the_epsilon_of_layer_norm_is_that_of_torch(explicit: bool) -> None:
    x = torch.randn(5, 8, dtype=torch.float64) * 1e-3  # its variance is below epsilon
    norm = LayerNorm(8, explicit=explicit).double()
    torch.testing.assert_close(norm(x), torch.nn.functional.layer_norm(x, (8,)))


def test_explicit_and_fused_gelu_agree() -> None:
    x = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(GELU(explicit=True)(x), GELU()(x))


def test_gelu_is_the_identity_far_right_and_zero_far_left() -> None:
    y = GELU(explicit=True)(torch.tensor([-20.0, 0.0, 20.0]))
    torch.testing.assert_close(y, torch.tensor([0.0, 0.0, 20.0]))


def test_the_feed_forward_network_processes_each_token_alone() -> None:
    layer = FeedForward(GPTConfig(n_embd=12, n_head=3))
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(2))
    order = torch.tensor([4, 2, 0, 1, 3])
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_feed_forward_dropout_is_active_in_training_only() -> None:
    torch.manual_seed(4)
    layer = FeedForward(GPTConfig(n_embd=12, n_head=3, dropout=0.5))
    x = torch.randn(2, 5, 12)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(1_000_003,), (500, 2000)])
def test_dropout_drops_a_fraction_p_and_keeps_the_mean(p: float, shape: tuple[int, ...]) -> None:
    torch.manual_seed(4)
    y = Dropout(p)(torch.ones(shape))
    dropped = (y == 0).float().mean().item()
    deviation = (p * (1 - p) / y.numel()) ** 0.5
    assert dropped == pytest.approx(p, abs=5 * deviation)
    assert y.mean().item() == pytest.approx(1.0, abs=5 * deviation / (1 - p))
    assert len(y.unique()) == 2


def test_the_probability_is_a_multiple_of_two_to_the_minus_16_unless_compiled() -> None:
    torch.manual_seed(4)
    drop, x = Dropout(0.3), torch.ones(100)
    assert drop(x).max().item() == pytest.approx(65536 / (65536 - 19661), rel=1e-7)
    compiled = torch.compile(drop, backend="eager", fullgraph=True)
    assert compiled(x).max().item() == pytest.approx(1 / 0.7, rel=1e-7)
    n = 8_000_000
    n_dropped = int((Dropout(2**-16)(torch.ones(n)) == 0).sum())
    assert abs(n_dropped - n / 2**16) < 5 * (n / 2**16) ** 0.5


def test_elements_of_one_draw_are_dropped_independently() -> None:
    """Four elements use bits of the same draw."""
    torch.manual_seed(5)
    kept = (Dropout(0.5)(torch.ones(1_000_000)) != 0).view(-1, 4).float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max().item() < 0.01


def test_dropout_masks_the_gradient_like_the_value() -> None:
    torch.manual_seed(6)
    x = torch.randn(7, 9, dtype=torch.bfloat16).requires_grad_()
    y = Dropout(0.3)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(gradient * x, y)


def test_dropout_depends_on_the_seed_and_is_off_in_evaluation() -> None:
    drop, x = Dropout(0.5), torch.ones(33)
    torch.manual_seed(7)
    first, second = drop(x), drop(x)
    torch.manual_seed(7)
    assert torch.equal(drop(x), first)
    assert not torch.equal(first, second)
    assert torch.equal(drop.eval()(x), x)


def test_p_close_to_1_stays_finite() -> None:
    assert Dropout(0.9999999)(torch.ones(64)).isfinite().all()
