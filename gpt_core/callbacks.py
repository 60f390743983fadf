"""Hooks of a training run: the trainer tells, and knows nothing of who listens."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact
from gpt_core.files import atomic_write_text, disk_errors

METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
_ADVICE = "fix that and run the same command again, it resumes from the last checkpoint"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """What is known when training starts."""

    total_steps: int
    first_step: int
    """Steps that were done before: 0, or those of the checkpoint that is resumed."""

    tokens_per_step: int
    n_parameters: int
    device: str
    precision: str
    out_dir: Path


class Callback:
    """Listens to a run; every method does nothing unless overridden."""

    def on_start(self, run: RunInfo) -> None:
        """The first step is about to be done."""

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Figures of a step, such as ``train/loss`` and ``validation/loss``."""

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """What the model goes on with after a prompt."""

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        """A checkpoint is whole and in its place."""

    def on_notice(self, message: str) -> None:
        """Something the user should know, in one sentence."""

    def on_end(self, step: int) -> None:
        """The last step is done."""


class Callbacks(Callback):
    """Several listeners as one.

    Args:
        listeners: Told in this order.
    """

    def __init__(self, listeners: Sequence[Callback]) -> None:
        self._listeners = list(listeners)

    def on_start(self, run: RunInfo) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_start(run)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_metrics(step, metrics)

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_sample(step, prompt, text)

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_checkpoint(step, checkpoint)

    def on_notice(self, message: str) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_notice(message)

    def on_end(self, step: int) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_end(step)


class JsonlRecorder(Callback):
    """Keeps metrics and samples as JSON lines beside the checkpoints, each step once.

    Args:
        out_dir: The run's directory.
        first_step: The step that is resumed; records of later steps are dropped, for those
            steps are done again.

    Raises:
        DataError: If the disk is full or may not be written; the methods raise it too.
    """

    def __init__(self, out_dir: Path, first_step: int) -> None:
        self._out_dir = out_dir
        for name in (METRICS, SAMPLES):
            kept = [row for row in read_records(out_dir / name) if row["step"] <= first_step]
            path = out_dir / name
            with disk_errors(path, _ADVICE), atomic_write_text(path) as file:
                file.writelines(_line(row) for row in kept)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line."""
        self._append(METRICS, {"step": step, **metrics})

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Append a line."""
        self._append(SAMPLES, {"step": step, "prompt": prompt, "text": text})

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        path = self._out_dir / name
        with disk_errors(path, _ADVICE), path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(row))


class ProgressLines(Callback):
    """Says what happens, a line each: loss, rate and time left.

    Args:
        write: Takes a line, such as ``print``.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._total = self._first_step = 0
        self._started = time.monotonic()

    def on_start(self, run: RunInfo) -> None:
        """Say what is trained."""
        self._total, self._first_step = run.total_steps, run.first_step
        self._started = time.monotonic()
        resumed = f", going on from step {run.first_step:,}" if run.first_step else ""
        self._write(
            f"{run.n_parameters:,} parameters, {run.total_steps:,} steps of "
            f"{run.tokens_per_step:,} tokens on {run.device} in {run.precision}{resumed}"
        )

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Say how it goes."""
        figures = [f"step {step:,} of {self._total:,}"]
        if "train/loss" in metrics:
            figures.append(f"loss {metrics['train/loss']:.4f}")
        if "validation/loss" in metrics:
            figures.append(f"validation loss {metrics['validation/loss']:.4f}")
        if "train/tokens_per_second" in metrics:
            figures.append(f"{metrics['train/tokens_per_second']:,.0f} tokens/s")
            figures.append(f"{self._time_left(step)} left")
        self._write(", ".join(figures))

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Show what the model goes on with, in one line."""
        self._write(f"step {step:,}: {' '.join((prompt + text).split())}")

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        """Say where it lies."""
        self._write(f"step {step:,}: saved {checkpoint.path}")

    def on_notice(self, message: str) -> None:
        """Say it."""
        self._write(f"note: {message}")

    def _time_left(self, step: int) -> str:
        done = max(1, step - self._first_step)
        seconds = round((time.monotonic() - self._started) / done * (self._total - step))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def read_records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSONL record; a line that a crash cut short is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # cut short by a crash: its step is done again
    return [row for row in rows if isinstance(row, dict) and "step" in row]


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
