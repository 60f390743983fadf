"""Numerics follow from settings and device, and go into a checkpoint and back."""

from typing import get_args, get_type_hints

import pytest
import torch

from gpt_core.config import ComputeConfig
from gpt_core.errors import ConfigError
from gpt_core.execution.numerics import KERNELS, Numerics, resolve_numerics

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A GPU of compute capability 8.0, as far as torch's answers go."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an A100")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    return GPU


def test_a_cpu_trains_uncompiled_and_a_gpu_compiled_unless_set(gpu: torch.device) -> None:
    assert not resolve_numerics(ComputeConfig(), CPU).compiled
    assert resolve_numerics(ComputeConfig(compile="on"), CPU).compiled
    assert resolve_numerics(ComputeConfig(), gpu).compiled
    assert not resolve_numerics(ComputeConfig(compile="off"), gpu).compiled
    assert resolve_numerics(ComputeConfig(), gpu).machine == "an A100"


@pytest.mark.parametrize(
    ("precision", "stream", "bf16_residual"),
    [("bf16", "auto", True), ("bf16", "fp32", False), ("fp32", "auto", False)],
)
def test_the_residual_stream_is_bf16_where_the_products_are(
    precision: str, stream: str, bf16_residual: bool
) -> None:
    numerics = resolve_numerics(ComputeConfig(precision=precision, stream=stream), CPU)
    assert numerics.precision == precision
    assert numerics.bf16_residual is bf16_residual


def test_the_other_settings_are_taken_over() -> None:
    numerics = resolve_numerics(ComputeConfig(recompute=True, pad_vocabulary=False), CPU)
    assert numerics.recompute
    assert not numerics.padded_head
    assert not numerics.fp8_head


def test_the_kernels_that_can_be_set_are_torch_kernels() -> None:
    setting = get_type_hints(ComputeConfig)["attention_kernel"]
    assert set(get_args(setting)) == {"auto", *KERNELS}
    assert resolve_numerics(ComputeConfig(), CPU).attention_kernel is None
    compute = ComputeConfig(attention_kernel="flash")
    assert resolve_numerics(compute, CPU).attention_kernel == "flash"


def test_a_gpu_without_fp8_products_refuses_an_fp8_head(gpu: torch.device) -> None:
    with pytest.raises(ConfigError, match="an A100 has no products of 8 bits"):
        resolve_numerics(ComputeConfig(fp8_head=True), gpu)


def test_numerics_are_restored_from_their_fields() -> None:
    numerics = resolve_numerics(ComputeConfig(precision="bf16", recompute=True), CPU)
    assert Numerics(**numerics.to_dict()) == numerics


def test_losses_are_computed_in_the_precision() -> None:
    matrix = torch.ones(2, 2)
    with resolve_numerics(ComputeConfig(precision="bf16"), CPU).context(CPU):
        assert (matrix @ matrix).dtype == torch.bfloat16


def test_only_a_gpu_needs_the_setting_deterministic(gpu: torch.device) -> None:
    asked = ComputeConfig(deterministic=True, attention_kernel="flash")
    assert not resolve_numerics(asked, CPU).deterministic
    numerics = resolve_numerics(asked, gpu)
    enabled = torch.are_deterministic_algorithms_enabled
    with numerics.reproducible(gpu):
        assert enabled()
        with numerics.reproducible(CPU), resolve_numerics(ComputeConfig(), gpu).reproducible(gpu):
            assert enabled()
    assert not enabled()
    with pytest.raises(ConfigError, match=r"set compute\.attention_kernel=auto"):
        ComputeConfig(deterministic=True, attention_kernel="cudnn")
