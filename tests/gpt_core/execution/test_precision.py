"""The precision of products follows from the setting and the device."""

import pytest
import torch

from gpt_core.execution import autocast, resolve_precision
from gpt_core.execution.precision import peak_flops

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("amx", [False, True])
def test_auto_is_bf16_on_a_cpu_with_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, amx: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    assert resolve_precision("auto", CPU) == ("bf16" if amx else "fp32")
    assert resolve_precision("fp32", CPU) == "fp32"
    assert resolve_precision("bf16", CPU) == "bf16"


@pytest.mark.parametrize("supported", [False, True])
def test_auto_is_bf16_on_a_gpu_that_supports_it(
    monkeypatch: pytest.MonkeyPatch, supported: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert resolve_precision("auto", GPU) == ("bf16" if supported else "fp32")
    assert resolve_precision("auto", torch.device("mps")) == "fp32"


def test_products_have_the_precision_of_the_context() -> None:
    matrix = torch.ones(2, 2)
    with autocast(CPU, "bf16"):
        assert (matrix @ matrix).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert (matrix @ matrix).dtype == torch.float32


def test_the_peak_is_known_for_some_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak_flops(CPU) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    assert peak_flops(GPU) == 989e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another")
    assert peak_flops(GPU) is None
