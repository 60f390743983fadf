"""Hooks of a training run: the trainer tells, and knows nothing of who listens."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact
from gpt_core.files import atomic_write

METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"


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
    """

    def __init__(self, out_dir: Path, first_step: int) -> None:
        self._out_dir = out_dir
        for name in (METRICS, SAMPLES):
            kept = [row for row in read_records(out_dir / name) if row["step"] <= first_step]
            with atomic_write(out_dir / name, "w") as file:
                file.writelines(_line(row) for row in kept)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line."""
        self._append(METRICS, {"step": step, **metrics})

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Append a line."""
        self._append(SAMPLES, {"step": step, "prompt": prompt, "text": text})

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        with (self._out_dir / name).open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(row))


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
