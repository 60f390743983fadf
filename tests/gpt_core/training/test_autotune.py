"""Trials find the largest micro-batch that fits, and the fastest numerics."""

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import (
    ComputeConfig,
    GPTConfig,
    PretrainConfig,
    ScheduleConfig,
    TrainingConfig,
)
from gpt_core.errors import ConfigError
from gpt_core.execution.layout import Layout, ModelWithLoss
from gpt_core.execution.numerics import resolve_numerics
from gpt_core.execution.placement import build_layout
from gpt_core.execution.ranks import Ranks
from gpt_core.models import build_model
from gpt_core.training import pretrain
from gpt_core.training.autotune import (
    attention_seconds,
    autotune,
    fit_micro_batch,
    is_long,
    largest_that_fits,
)

CPU = torch.device("cpu")


def config_of(compute: dict[str, object] | None = None, **training: object) -> PretrainConfig:
    """A run of one tiny block, whose compute settings and steps the tests choose."""
    settings = {"tokens_per_step": 64, "micro_batch": 2, **training}
    return PretrainConfig(
        model=GPTConfig(n_layer=1, n_head=2, n_embd=16, context_length=32, vocab_size=257),
        training=TrainingConfig(**settings),
        compute=ComputeConfig(**{"device": "cpu", **(compute or {})}),
        schedule=ScheduleConfig(warmup_steps=1),
    )


@pytest.mark.parametrize(
    ("size", "capacity", "found"), [(64, 20, 16), (48, 48, 48), (45, 8, 5), (7, 0, 1)]
)
def test_the_largest_divisor_that_fits_is_found(size: int, capacity: int, found: int) -> None:
    tried: list[int] = []

    def attempt(n: int) -> None:
        tried.append(n)
        if n > capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert largest_that_fits(size, attempt) == found
    assert tried == sorted(tried, reverse=True)
    assert all(size % n == 0 for n in tried)


def test_an_error_that_is_not_out_of_memory_is_raised() -> None:
    def attempt(n: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        largest_that_fits(8, attempt)


def test_a_micro_batch_that_fits_is_kept() -> None:
    config = config_of(micro_batch=8, tokens_per_step=256)
    assert fit_micro_batch(config, CPU, Ranks()) == 8


def layout_of(config: PretrainConfig) -> Layout:
    return build_layout(build_model(config.model, seed=0).train(), CPU, config.compute)


def clock_of(*seconds: float) -> Callable[[], float]:
    """Reads as if each pair of readings were these seconds apart."""
    passing: Iterator[float] = accumulate(x for s in seconds for x in (0.0, s))
    return lambda: next(passing)


def test_a_gpu_uses_the_fastest_attention_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"flash": 2.0, "cudnn": 1.0, "efficient": math.inf, "math": 9.0}
    monkeypatch.setattr(
        "gpt_core.training.autotune.attention_seconds", lambda name, *rest: times[name]
    )
    config = config_of()
    gpu = SimpleNamespace(
        device=torch.device("cuda"), ranks=Ranks(), numerics=resolve_numerics(config.compute, CPU)
    )
    assert autotune(gpu, config, clock_of(), print).attention_kernel == "cudnn"
    gpu.numerics = replace(gpu.numerics, deterministic=True)
    assert autotune(gpu, config, clock_of(), print).attention_kernel == "flash"
    explicit = replace(config, model=replace(config.model, attention="explicit"))
    assert autotune(gpu, explicit, clock_of(), print).attention_kernel is None


def test_a_kernel_that_does_not_run_takes_infinite_time() -> None:
    config = config_of({"precision": "fp32"})
    layout = layout_of(config)
    seconds = clock_of(*[0.5] * 4)
    assert attention_seconds("math", config, layout, seconds) == 0.5
    assert attention_seconds("cudnn", config, layout, clock_of(*[0.5] * 4)) == math.inf


def test_on_a_cpu_torch_chooses_the_kernel_and_short_runs_have_no_trial() -> None:
    config = config_of(steps=10)
    layout = layout_of(config)
    notices: list[str] = []
    assert autotune(layout, config, clock_of(), notices.append) == layout.numerics
    assert layout.numerics.attention_kernel is None
    assert not layout.numerics.compiled
    assert notices == []


def test_a_run_is_long_by_its_arithmetic() -> None:
    config = config_of(steps=1000)
    assert not is_long(config, threads=2)
    assert is_long(replace(config, training=replace(config.training, steps=10**10)), threads=2)
    assert not is_long(
        replace(config, training=replace(config.training, steps=10**10)), threads=2 * 10**7
    )


def test_a_run_that_is_short_on_this_machine_is_not_compiled() -> None:
    config = config_of(steps=10**10)
    layout = layout_of(config)
    notices: list[str] = []
    fast = 1e-9  # seconds of a micro-batch
    assert not autotune(layout, config, clock_of(*[fast] * 4), notices.append).compiled
    assert notices == []


@pytest.mark.parametrize(("compiled", "is_faster"), [(0.8, True), (1.2, False)])
def test_a_long_run_is_compiled_if_that_is_faster(
    compiled: float, is_faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", Compiled)
    config = config_of(steps=10**10)
    layout = layout_of(config)
    notices: list[str] = []
    # The micro-batches, and one reading before and one after the compiled trial.
    readings = iter([0.0, 1.0] * 4 + [0.0] + [0.0, compiled] * 4 + [40.0])
    found = autotune(layout, config, lambda: next(readings), notices.append)
    layout.set_numerics(found)
    assert found.compiled is is_faster
    assert isinstance(layout.loss, Compiled) is is_faster
    assert all(parameter.grad is None for parameter in layout.model.parameters())
    assert "compiled in 40 s" in notices[0]
    assert f"continues {'' if is_faster else 'un'}compiled" in notices[0]


class Compiled(torch.nn.Module):
    """Stands for a compiled loss."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, token_ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.loss(token_ids, targets)


def test_without_a_compiler_a_long_run_stays_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(loss: object) -> Callable[..., torch.Tensor]:
        def fails(*given: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in (None, 'g++')")

        return fails

    monkeypatch.setattr(torch, "compile", no_compiler)
    config = config_of(steps=10**10)
    layout, notices = layout_of(config), []
    assert not autotune(layout, config, clock_of(*[1.0] * 9), notices.append).compiled
    assert "no C++ compiler" in notices[0]
    assert not layout.numerics.compiled
    assert isinstance(layout.loss, ModelWithLoss)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, in its compiler
def test_compiled_training_has_the_losses_of_uncompiled_training(
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
