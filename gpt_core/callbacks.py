"""Callbacks of a training run: the trainer calls them and knows nothing else of its listeners."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from gpt_core.artifact import Artifact
from gpt_core.files import atomic_write_text, disk_errors

METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
_ADVICE = "fix that and run the same command again, it resumes from the last checkpoint"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """Facts about a run that are known when training starts."""

    total_steps: int
    first_step: int
    """Steps done before: 0, or those of the checkpoint that is resumed."""

    tokens_per_step: int
    """0 if it varies."""

    n_parameters: int
    device: str
    precision: str
    out_dir: Path

    def describe(self) -> str:
        """One line: model size, steps, device, precision and, if resumed, the first step."""
        size = f" of {self.tokens_per_step:,} tokens" if self.tokens_per_step else ""
        resumed = f", resuming from step {self.first_step:,}" if self.first_step else ""
        return (
            f"{self.n_parameters:,} parameters, {self.total_steps:,} steps{size} on {self.device} "
            f"in {self.precision}{resumed}"
        )


class Callback:
    """Receives the events of a run; every method does nothing unless overridden."""

    def on_start(self, run: RunInfo) -> None:
        """Training starts."""

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Receive metrics of a step, such as ``train/loss`` and ``validation/loss``."""

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Receive a generated continuation of a prompt."""

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        """Receive a checkpoint that has been written completely."""

    def on_notice(self, message: str) -> None:
        """Receive a sentence that the user should see."""

    def on_end(self, step: int) -> None:
        """Training has ended."""


class Callbacks(Callback):
    """Forwards every event to several callbacks.

    Args:
        listeners: Called in this order.
    """

    def __init__(self, listeners: Sequence[Callback]) -> None:
        self._listeners = list(listeners)

    @override
    def on_start(self, run: RunInfo) -> None:
        for listener in self._listeners:
            listener.on_start(run)

    @override
    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        for listener in self._listeners:
            listener.on_metrics(step, metrics)

    @override
    def on_sample(self, step: int, prompt: str, text: str) -> None:
        for listener in self._listeners:
            listener.on_sample(step, prompt, text)

    @override
    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        for listener in self._listeners:
            listener.on_checkpoint(step, checkpoint)

    @override
    def on_notice(self, message: str) -> None:
        for listener in self._listeners:
            listener.on_notice(message)

    @override
    def on_end(self, step: int) -> None:
        for listener in self._listeners:
            listener.on_end(step)


class JsonlRecorder(Callback):
    """Appends metrics and samples as JSON lines to files in the run's directory, each step once.

    Args:
        out_dir: The run's directory.
        first_step: The step to resume from; records of later steps are dropped, because those
            steps are repeated.

    Raises:
        DataError: If the files cannot be written; the methods raise it too.
    """

    def __init__(self, out_dir: Path, first_step: int) -> None:
        self._out_dir = out_dir
        for name in (METRICS, SAMPLES):
            kept = [row for row in read_records(out_dir / name) if row["step"] <= first_step]
            path = out_dir / name
            with disk_errors(path, _ADVICE), atomic_write_text(path) as file:
                file.writelines(_line(row) for row in kept)

    @override
    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._append(METRICS, {"step": step, **metrics})

    @override
    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self._append(SAMPLES, {"step": step, "prompt": prompt, "text": text})

    def _append(self, name: str, row: Mapping[str, object]) -> None:
        path = self._out_dir / name
        with disk_errors(path, _ADVICE), path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(row))


class ProgressLines(Callback):
    """Reports each event as a line of text: loss, speed and time left.

    Args:
        write: Called with each line, such as ``print``.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._total = self._first_step = 0
        self._started = time.monotonic()

    @override
    def on_start(self, run: RunInfo) -> None:
        self._total, self._first_step = run.total_steps, run.first_step
        self._started = time.monotonic()
        self._write(run.describe())

    @override
    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        parts = [f"step {step:,} of {self._total:,}"]
        if "train/loss" in metrics:
            parts.append(f"loss {metrics['train/loss']:.4f}")
        if "validation/loss" in metrics:
            parts.append(f"validation loss {metrics['validation/loss']:.4f}")
        if "train/tokens_per_second" in metrics:
            parts.append(f"{metrics['train/tokens_per_second']:,.0f} tokens/s")
            parts.append(f"{self._time_left(step)} left")
        self._write(", ".join(parts))

    @override
    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self._write(f"step {step:,}: {' '.join((prompt + text).split())}")

    @override
    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        self._write(f"step {step:,}: saved {checkpoint.path}")

    @override
    def on_notice(self, message: str) -> None:
        self._write(f"note: {message}")

    def _time_left(self, step: int) -> str:
        done = max(1, step - self._first_step)
        seconds = round((time.monotonic() - self._started) / done * (self._total - step))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of a JSON-lines file of a run, or none if there is no such file.

    Unlike ``text.read_objects``, it drops a line that a crash cut short or that has no step:
    that line's step is repeated.
    """
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return [row for row in rows if isinstance(row, dict) and type(row.get("step")) is int]


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
