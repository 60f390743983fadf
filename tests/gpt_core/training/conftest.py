"""Tiny pretraining runs: their configuration, their trainer, and a callback that records them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo, read_records
from gpt_core.config import (
    ComputeConfig,
    DecodingConfig,
    GPTConfig,
    OptimizerConfig,
    PretrainConfig,
    ScheduleConfig,
    TrainingConfig,
)
from gpt_core.data import ShardReader, TokenLoader, sequential_batches
from gpt_core.execution.placement import build_layout
from gpt_core.models import build_model
from gpt_core.training import Trainer, latest_checkpoint, pretrain

ConfigOf = Callable[..., PretrainConfig]
RunOf = Callable[..., "Recorder"]


class Recorder(Callback):
    """Records the events of a run, and can interrupt it at a step.

    Args:
        stop_at: The step whose metrics raise KeyboardInterrupt.
    """

    def __init__(self, stop_at: int | None = None) -> None:
        self.runs: list[RunInfo] = []
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.samples: list[tuple[int, str]] = []
        self.saved: list[tuple[int, Artifact]] = []
        self.notices: list[str] = []
        self.ended: list[int] = []
        self._stop_at = stop_at

    def on_start(self, run: RunInfo) -> None:
        self.runs.append(run)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.metrics.append((step, dict(metrics)))
        if step == self._stop_at:
            raise KeyboardInterrupt

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self.samples.append((step, prompt + text))

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        self.saved.append((step, checkpoint))

    def on_notice(self, message: str) -> None:
        self.notices.append(message)

    def on_end(self, step: int) -> None:
        self.ended.append(step)

    def values(self, name: str) -> dict[int, float]:
        """A metric by step."""
        return {step: metrics[name] for step, metrics in self.metrics if name in metrics}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def recorder_of() -> Callable[..., Recorder]:
    """Makes a recorder, with its arguments."""
    return Recorder


@pytest.fixture(scope="session")
def config_of() -> ConfigOf:
    """Makes a tiny configuration of 12 steps.

    Keyword arguments are settings of the section ``training``; those of other sections are
    dictionaries under the section's name.
    """

    def make(
        *,
        model: Mapping[str, Any] | None = None,
        compute: Mapping[str, Any] | None = None,
        optimizer: Mapping[str, Any] | None = None,
        **training: Any,
    ) -> PretrainConfig:
        shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "context_length": 32, "dropout": 0.1}
        loop = {
            "steps": 12, "tokens_per_step": 256, "micro_batch": 4, "log_every": 2,
            "eval_every": 4, "save_every": 4, "sample_every": 6, "eval_tokens": 512,
        }  # fmt: skip
        return PretrainConfig(
            model=GPTConfig(**{**shape, **(model or {})}),
            optimizer=OptimizerConfig(**(optimizer or {})),
            schedule=ScheduleConfig(warmup_steps=2),
            training=TrainingConfig(**{**loop, **training}),
            compute=ComputeConfig(**{"device": "cpu", "precision": "fp32", **(compute or {})}),
            generation=DecodingConfig(max_new_tokens=4),
        )

    return make


@pytest.fixture(scope="session")
def trainer_of(shards: Artifact) -> Callable[..., Trainer]:
    """Makes a trainer of a configuration, as ``pretrain`` does for a new run."""

    def make(config: PretrainConfig, callbacks: Callback | None = None) -> Trainer:
        config = replace(config, model=replace(config.model, vocab_size=257))
        loader = TokenLoader(
            ShardReader(shards.directory, "train"),
            context_length=config.model.context_length,
            batch_size=config.training.micro_batch,
            config=config.loader,
        )
        held_out = ShardReader(shards.directory, "validation")
        model = build_model(config.model, config.training.seed).train()
        return Trainer(
            build_layout(model, torch.device("cpu"), config.compute),
            config,
            loader,
            lambda: sequential_batches(held_out, config.model.context_length, 4, 512),
            callbacks or Callback(),
        )

    return make


@pytest.fixture(scope="session")
def uninterrupted(
    shards: Artifact, config_of: ConfigOf, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Recorder]:
    """The directory and the events of a run that nothing interrupted."""
    out, recorder = tmp_path_factory.mktemp("uninterrupted") / "run", Recorder()
    pretrain(shards, config_of(), out, callbacks=[recorder])
    return out, recorder


@pytest.fixture(scope="session")
def newest() -> Callable[[Path], Artifact]:
    """Finds the newest checkpoint of a run's directory."""

    def find(out_dir: Path) -> Artifact:
        checkpoint, _ = latest_checkpoint(out_dir)
        assert checkpoint is not None
        return checkpoint

    return find


@pytest.fixture(scope="session")
def weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    """Reads the weights in a checkpoint's directory."""

    def read(directory: Path) -> dict[str, torch.Tensor]:
        return load_file(directory / "model.safetensors")

    return read


@pytest.fixture(scope="session")
def timeless_metrics() -> Callable[[Path], list[dict[str, float]]]:
    """Reads a run's recorded metrics without those that depend on the clock."""

    def read(out_dir: Path) -> list[dict[str, float]]:
        rows = read_records(out_dir / "metrics.jsonl")
        return [{k: v for k, v in row.items() if k != "train/tokens_per_second"} for row in rows]

    return read
