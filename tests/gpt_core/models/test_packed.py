import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gpt_core.models.packed import (
    can_pack,
    int8_linear,
    is_packing_faster,
    packed_linear,
    plain_linear,
)

pytestmark = pytest.mark.skipif(
    not can_pack(nn.Linear(8, 8)), reason="this torch cannot pack weights for oneDNN"
)


def random_layer(n_inputs: int, n_outputs: int, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(n_inputs, n_outputs, bias=bias)
    with torch.no_grad():
        layer.weight.normal_()
    return layer.requires_grad_(False)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(16, 40), (48, 257), (1600, 64)])
def test_all_kinds_compute_the_layer(shape: tuple[int, int], bias: bool) -> None:
    layer = random_layer(*shape, bias=bias)
    for n_rows in (1, 2, 7):
        x = torch.randn(n_rows, shape[0])
        expected = F.linear(x, layer.weight, layer.bias)
        scale = expected.std()
        assert torch.equal(plain_linear(layer)(x), expected)
        assert (packed_linear(layer)(x) - expected).abs().max() < 1e-4 * scale
        assert (int8_linear(layer)(x) - expected).std() < 0.02 * scale


@pytest.mark.parametrize("shape", [(16, 40), (768, 100), (1600, 64)])
def test_packed_rows_have_the_same_bits_alone_and_among_others(shape: tuple[int, int]) -> None:
    packed = packed_linear(random_layer(*shape))
    x = torch.randn(9, shape[0])
    together = packed(x)
    for row in range(9):
        assert torch.equal(packed(x[row : row + 1]), together[row : row + 1])
        assert torch.equal(packed(x[row:]), together[row:])


def test_only_linear_layers_of_a_cpu_in_float32_are_packed() -> None:
    assert can_pack(random_layer(16, 16))
    assert not can_pack(random_layer(16, 16).bfloat16())
    assert not can_pack(random_layer(16, 16).to("meta"))
    other = nn.Identity()
    assert not can_pack(other)
    assert plain_linear(other) is packed_linear(other) is int8_linear(other) is other


def test_a_torch_without_the_operations_cannot_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = random_layer(16, 16)

    def fail(layer: nn.Module) -> None:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    monkeypatch.setattr("gpt_core.models.packed.packed_linear", fail)
    assert not can_pack(layer)
    monkeypatch.setattr("gpt_core.models.packed.packed_linear", lambda _: lambda x: x + 1)
    assert not can_pack(layer), "other results"


def test_the_trial_finds_packing_faster_only_where_it_is() -> None:
    assert not is_packing_faster([random_layer(8, 8)] * 4, n_rows=8)


def test_int8_scales_follow_each_output() -> None:
    layer = random_layer(32, 3, bias=False)
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([[1.0], [1e-4], [0.0]]))
    x = torch.randn(4, 32)
    expected = layer(x)
    found = int8_linear(layer)(x)
    for output in range(2):
        error = (found - expected)[:, output].abs().max()
        assert error < 0.05 * expected[:, output].std()
    assert not found[:, 2].any()
