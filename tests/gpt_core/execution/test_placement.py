"""A model is placed in one process, replicated or sharded."""

from types import SimpleNamespace

import pytest
import torch

from gpt_core.config import ComputeConfig, GPTConfig, LaunchConfig
from gpt_core.errors import ConfigError
from gpt_core.execution.layout import DDPLayout, Layout
from gpt_core.execution.placement import build_layout, uses_fsdp
from gpt_core.execution.ranks import Ranks
from gpt_core.models import build_model

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SHAPE = GPTConfig(n_layer=1, n_head=2, n_embd=16, context_length=32, vocab_size=31)


def test_one_process_has_the_complete_model_and_several_have_replicas() -> None:
    model = build_model(SHAPE, seed=0)
    alone = build_layout(model, CPU, ComputeConfig())
    assert type(alone) is Layout
    assert alone.ranks == Ranks()
    several = build_layout(model, CPU, ComputeConfig(), Ranks(0, 2))
    assert type(several) is DDPLayout
    assert not several.is_sharded


def test_the_settings_reach_the_model() -> None:
    compute = ComputeConfig(precision="bf16", recompute=True)
    model = build_layout(build_model(SHAPE, seed=0), CPU, compute).model
    assert model.recompute
    assert model.bf16_residual


def test_a_sharded_model_has_no_fp8_head() -> None:
    model, sharded = build_model(SHAPE, seed=0), LaunchConfig(strategy="fsdp")
    with pytest.raises(ConfigError, match=r"launch\.strategy=ddp or compute\.fp8_head=false"):
        build_layout(model, CPU, ComputeConfig(fp8_head=True), Ranks(0, 2), sharded)


def test_auto_shards_only_what_would_fill_half_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, two = GPTConfig(vocab_size=50_257), Ranks(0, 2)  # 2 GB in training
    auto = LaunchConfig()
    for memory, sharded in ((16e9, False), (3e9, True)):
        found = SimpleNamespace(total_memory=memory)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, found=found: found)
        assert uses_fsdp(shape, GPU, two, auto) is sharded
    assert not uses_fsdp(shape, GPU, two, LaunchConfig(strategy="ddp"))
    assert not uses_fsdp(shape, GPU, Ranks(), auto)
    assert not uses_fsdp(shape, CPU, two, auto)
    assert uses_fsdp(shape, CPU, two, LaunchConfig(strategy="fsdp"))
