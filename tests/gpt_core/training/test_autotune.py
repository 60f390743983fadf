"""Trials choose what is fastest, and a run goes on with what was chosen for it."""

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import (
    ComputeConfig,
    GPTConfig,
    LaunchConfig,
    PretrainConfig,
    ScheduleConfig,
    TrainingConfig,
)
from gpt_core.errors import ConfigError
from gpt_core.execution.layout import Layout, ModelWithLoss
from gpt_core.execution.numerics import KERNELS, resolve_numerics
from gpt_core.execution.placement import build_layout
from gpt_core.execution.ranks import Ranks
from gpt_core.models import build_model
from gpt_core.training import pretrain
from gpt_core.training.autotune import attention_seconds, autotune, is_long
from gpt_core.training.checkpoint import latest_checkpoint, load_state

CPU = torch.device("cpu")


def config_of(compute: dict[str, object] | None = None, **training: object) -> PretrainConfig:
    settings = {"tokens_per_step": 64, "micro_batch": 2, **training}
    return PretrainConfig(
        model=GPTConfig(n_layer=1, n_head=2, n_embd=16, context_length=32, vocab_size=257),
        training=TrainingConfig(**settings),
        compute=ComputeConfig(**{"device": "cpu", **(compute or {})}),
        schedule=ScheduleConfig(warmup_steps=1),
    )


def layout_of(config: PretrainConfig) -> Layout:
    return build_layout(build_model(config.model, seed=0).train(), CPU, config.compute)


def clock_of(*seconds: float) -> Callable[[], float]:
    """Every second reading is so much later than the one before it."""
    passing: Iterator[float] = accumulate(x for s in seconds for x in (0.0, s))
    return lambda: next(passing)


def test_a_gpu_takes_the_kernel_that_was_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"flash": 2.0, "cudnn": 1.0, "efficient": math.inf, "math": 9.0}
    monkeypatch.setattr(
        "gpt_core.training.autotune.attention_seconds", lambda name, *rest: times[name]
    )
    config = config_of()
    gpu = SimpleNamespace(
        device=torch.device("cuda"), ranks=Ranks(), numerics=resolve_numerics(config.compute, CPU)
    )
    assert autotune(gpu, config, clock_of(), print).attention_kernel == "cudnn"
    plain = replace(config, model=replace(config.model, attention="explicit"))
    assert autotune(gpu, plain, clock_of(), print).attention_kernel is None


def test_a_kernel_that_cannot_do_it_is_never_the_fastest() -> None:
    config = config_of({"precision": "fp32"})
    layout = layout_of(config)
    seconds = clock_of(*[0.5] * 4)
    assert attention_seconds("math", config, layout, seconds) == 0.5
    assert attention_seconds("cudnn", config, layout, clock_of(*[0.5] * 4)) == math.inf


def test_a_processor_leaves_the_kernel_to_torch_and_short_runs_have_no_trial() -> None:
    config = config_of(steps=10)
    layout = layout_of(config)
    told: list[str] = []
    assert autotune(layout, config, clock_of(), told.append) == layout.numerics
    assert layout.numerics.attention_kernel is None
    assert not layout.numerics.compiled
    assert told == []


def test_a_run_is_long_by_its_arithmetic() -> None:
    config = config_of(steps=1000)
    assert not is_long(config, threads=2)
    assert is_long(replace(config, training=replace(config.training, steps=10**10)), threads=2)
    assert not is_long(
        replace(config, training=replace(config.training, steps=10**10)), threads=2 * 10**7
    )


def test_a_long_run_that_is_fast_enough_here_is_not_compiled() -> None:
    config = config_of(steps=10**10)
    layout = layout_of(config)
    told: list[str] = []
    fast = 1e-9  # seconds of a micro-batch
    assert not autotune(layout, config, clock_of(*[fast] * 4), told.append).compiled
    assert told == []


@pytest.mark.parametrize(("compiled", "pays"), [(0.8, True), (1.2, False)])
def test_a_long_run_is_compiled_if_that_is_faster(
    compiled: float, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", Compiled)
    config = config_of(steps=10**10)
    layout = layout_of(config)
    told: list[str] = []
    # One reading before the compiled trial and one after it, beside those of the micro-batches.
    readings = iter([0.0, 1.0] * 4 + [0.0] + [0.0, compiled] * 4 + [40.0])
    found = autotune(layout, config, lambda: next(readings), told.append)
    layout.set_numerics(found)
    assert found.compiled is pays
    assert isinstance(layout.loss, Compiled) is pays
    assert all(parameter.grad is None for parameter in layout.model.parameters())
    assert "compiled in 40 s" in told[0]
    assert f"continues {'' if pays else 'un'}compiled" in told[0]


class Compiled(torch.nn.Module):
    """Stands for a compiled loss."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, token_ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.loss(token_ids, targets)


def test_without_a_compiler_a_long_run_goes_on_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(loss: object) -> Callable[..., torch.Tensor]:
        def fails(*given: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in (None, 'g++')")

        return fails

    monkeypatch.setattr(torch, "compile", no_compiler)
    config = config_of(steps=10**10)
    layout, told = layout_of(config), []
    assert not autotune(layout, config, clock_of(*[1.0] * 9), told.append).compiled
    assert "no C++ compiler" in told[0]
    assert not layout.numerics.compiled
    assert isinstance(layout.loss, ModelWithLoss)


def test_asking_for_what_cannot_be_compiled_is_one_sentence(
    shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(loss: object) -> Callable[..., torch.Tensor]:
        def fails(*given: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in (None, 'g++')")

        return fails

    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(ConfigError, match=r"set compute\.compile=off"):
        pretrain(shards, config_of({"compile": "on"}), tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, in its compiler
def test_compiled_training_learns_what_plain_training_learns(
    shards: Artifact, tmp_path: Path
) -> None:
    if not any(shutil.which(name) for name in ("g++", "clang++")):
        with pytest.raises(ConfigError, match="needs a C"):
            pretrain(shards, config_of({"compile": "on"}), tmp_path)
        return
    losses = []
    for compiling in ("off", "on"):
        config = config_of(
            {"compile": compiling, "precision": "fp32"}, steps=6, eval_every=6, save_every=6
        )
        checkpoint = pretrain(shards, config, tmp_path / compiling)
        losses.append(checkpoint.metrics()["validation_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_a_run_goes_on_as_it_was_computed(
    shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def rough(layout: Layout, *rest: object) -> object:
        calls.append(layout.numerics.machine)
        return replace(layout.numerics, precision="bf16", bf16_residual=True)

    monkeypatch.setattr("gpt_core.training.pretraining.autotune", rough)
    config = config_of(
        {"precision": "fp32"}, steps=4, save_every=2, eval_every=2, sample_every=9, keep_last=9
    )
    out = tmp_path / "run"
    whole = pretrain(shards, config, out)
    state = load_state(whole, CPU)
    assert state["numerics"]["bf16_residual"]
    shutil.rmtree(max(out.glob("step-*")))
    pretrain(shards, config, out)
    assert calls == ["cpu"], "the second time it was remembered"


def test_on_another_machine_the_precision_stays_and_the_trials_are_done_again(
    shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpt_core.execution import placement

    config = config_of(steps=4, save_every=2, eval_every=2, sample_every=9)
    out = tmp_path / "run"

    def elsewhere(compute: ComputeConfig, device: torch.device) -> object:
        here = resolve_numerics(compute, device)
        return replace(here, machine="elsewhere", precision="bf16", bf16_residual=True)

    with monkeypatch.context() as there:
        there.setattr(placement, "resolve_numerics", elsewhere)
        pretrain(shards, config, out)
    shutil.rmtree(max(out.glob("step-*")))
    pretrain(shards, config, out)
    newest, _ = latest_checkpoint(out)
    assert newest is not None
    found = load_state(newest, CPU)["numerics"]
    assert found == asdict(
        replace(resolve_numerics(config.compute, CPU), precision="bf16", bf16_residual=True)
    )


def test_a_shared_model_has_no_head_in_8_bits() -> None:
    config = config_of({"fp8_head": True})
    two = SimpleNamespace(size=2, rank=0, is_first=True)
    with pytest.raises(ConfigError, match=r"launch\.strategy=ddp"):
        build_layout(
            build_model(config.model, seed=0), CPU, config.compute, two,
            LaunchConfig(strategy="fsdp"),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("micro_batch", "n_embd", "named"), [(2, 24, "model.n_embd is 24"), (3, 32, "is 63")]
)
def test_a_head_in_8_bits_needs_sides_that_divide(
    micro_batch: int, n_embd: int, named: str
) -> None:
    config = config_of(micro_batch=micro_batch, tokens_per_step=32 * micro_batch)
    shape = replace(config.model, n_embd=n_embd, context_length=21 if micro_batch == 3 else 32)
    training = replace(config.training, tokens_per_step=micro_batch * shape.context_length)
    with pytest.raises(ConfigError, match=named):
        replace(config, model=shape, training=training, compute=ComputeConfig(fp8_head=True))


def test_every_kernel_that_can_be_set_is_one_of_torch() -> None:
    setting = get_type_hints(ComputeConfig)["attention_kernel"]
    assert set(get_args(setting)) == {"auto", *KERNELS}
    assert (
        resolve_numerics(config_of({"attention_kernel": "flash"}).compute, CPU).attention_kernel
        == "flash"
    )


def test_an_old_gpu_has_no_head_in_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an A100")
    with pytest.raises(ConfigError, match="an A100 has no products of 8 bits"):
        resolve_numerics(config_of({"fp8_head": True}).compute, torch.device("cuda"))
