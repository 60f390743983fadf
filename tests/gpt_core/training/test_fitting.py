"""Micro-batches are halved until they fit, and the run remembers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import ComputeConfig, GPTConfig, PretrainConfig, ScheduleConfig, TrainingConfig
from gpt_core.execution.ranks import Ranks
from gpt_core.training import pretrain
from gpt_core.training.autotune import fit_micro_batch, largest_that_fits


@pytest.mark.parametrize(
    ("size", "room", "found"), [(64, 20, 16), (48, 48, 48), (45, 8, 5), (7, 0, 1)]
)
def test_the_largest_divisor_that_fits_is_found(size: int, room: int, found: int) -> None:
    tried: list[int] = []

    def attempt(n: int) -> None:
        tried.append(n)
        if n > room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert largest_that_fits(size, attempt) == found
    assert tried == sorted(tried, reverse=True)
    assert all(size % n == 0 for n in tried)


def test_another_error_is_not_taken_for_want_of_memory() -> None:
    def attempt(n: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        largest_that_fits(8, attempt)


def config_of(steps: int) -> PretrainConfig:
    training = TrainingConfig(
        steps=steps, tokens_per_step=256, micro_batch=8,
        save_every=2, eval_every=2, sample_every=100, sample_prompts=(),
    )  # fmt: skip
    model = GPTConfig(n_layer=1, n_head=1, n_embd=16, context_length=32)
    compute = ComputeConfig(device="cpu", fit_memory=True)
    schedule = ScheduleConfig(warmup_steps=1)
    return PretrainConfig(model=model, training=training, compute=compute, schedule=schedule)


def test_what_fits_is_not_changed() -> None:
    config = config_of(4)
    config = replace(config, model=replace(config.model, vocab_size=257))
    assert fit_micro_batch(config, torch.device("cpu"), Ranks()) == 8


def test_a_run_goes_on_with_what_it_found(
    shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[int] = []

    def train_once(config: PretrainConfig, micro_batch: int, device: torch.device) -> None:
        trials.append(micro_batch)
        if micro_batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("gpt_core.training.autotune._train_once", train_once)
    checkpoint = pretrain(shards, config_of(4), tmp_path / "run")
    assert checkpoint.manifest().config_int("training", "micro_batch") == 2
    assert trials == [8, 4, 2]
    newest = max((tmp_path / "run").glob("step-*"))
    newest.rename(tmp_path / "lost")
    again = pretrain(shards, config_of(4), tmp_path / "run")
    assert trials == [8, 4, 2]
    assert again.manifest().config_int("training", "micro_batch") == 2
