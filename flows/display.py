"""The terminal display: a progress bar in a terminal, else a line every few seconds."""

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from typing_extensions import override

from gpt_core.artifact import Artifact
from gpt_core.callbacks import RunInfo
from tasks.progress import Display

_SECONDS_BETWEEN_LINES = 5.0
_SAMPLE_WIDTH = 160  # characters


class TerminalDisplay(Display):
    """Shows stages on a terminal.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        status = TextColumn(
            "{task.fields[status]}", table_column=Column(no_wrap=True, overflow="ellipsis")
        )
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            status,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._new_bar("", None)
        self._stage = ""
        self._finished: set[str] = set()
        self._last_line = 0.0
        self._reset()

    def __enter__(self) -> "TerminalDisplay":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    @override
    def stage_started(self, stage: str) -> None:
        self._stage = stage
        self._reset()
        self._bar = self._new_bar(stage, None)
        self._print_line(f"{stage} ...", force=True)

    @override
    def progress(self, stage: str, unit: str, done: int, total: int | None) -> None:
        if stage != self._stage:
            self.stage_started(stage)
        rate = done / max(1e-9, time.monotonic() - self._started)
        self._bars.update(self._bar, completed=done, total=total, status=f"{rate:,.0f} {unit}/s")
        of_total = f" of {total:,}" if total else ""
        self._print_line(f"{stage}: {done:,}{of_total} {unit}, {rate:,.0f} a second")

    @override
    def training_started(self, stage: str, run: RunInfo) -> None:
        self._reset()
        self._total, self._first_step = run.total_steps, run.first_step
        self._bar = self._new_bar(stage, run.total_steps)
        self._bars.update(self._bar, completed=run.first_step)
        self._print(run.describe())

    @override
    def metrics(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        for name in ("validation/loss", "validation/accuracy"):
            if name in metrics:
                self._latest[name] = f"{name.replace('/', ' ')} {metrics[name]:.3f}"
        if "train/tokens_per_second" in metrics:
            self._latest["rate"] = f"{metrics['train/tokens_per_second']:,.0f} tokens/s"
        is_first = "train/loss" not in self._latest
        if "train/loss" in metrics:
            self._latest["train/loss"] = f"loss {metrics['train/loss']:.3f}"
        order = ("train/loss", "rate", "validation/loss", "validation/accuracy")
        status = ", ".join(self._latest[name] for name in order if name in self._latest)
        self._bars.update(self._bar, completed=step, total=self._total, status=status)
        place = f"step {step:,}" + (f" of {self._total:,}" if self._total else "")
        self._print_line(f"{stage}: {place}, {status}{self._time_left(step)}", force=is_first)

    @override
    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        line = " ".join(f"{prompt}{text}".split())[:_SAMPLE_WIDTH]
        self._print(f"step {step:,}: {line}", style="dim")

    @override
    def notice(self, message: str) -> None:
        self._print(f"note: {message}", style="yellow")

    @override
    def stage_finished(self, stage: str, artifact: Artifact, seconds: float) -> None:
        self._bars.update(self._bar, visible=False)
        self._finished.add(artifact.path)
        self._print_done(stage, f"{seconds:.1f} s", artifact)

    @override
    def stage_present(self, stage: str, artifact: Artifact) -> None:
        if artifact.path not in self._finished:
            self._print_done(stage, "there already", artifact)

    def _print_done(self, stage: str, took: str, artifact: Artifact) -> None:
        self._print(f"✓ {stage} ({took})  {short(artifact.directory)}", style="green", indent="")

    def _new_bar(self, stage: str, total: int | None) -> TaskID:
        """Replace the bar by a new one, because rich keeps the total and speed of the old one."""
        for old in self._bars.task_ids:
            self._bars.remove_task(old)
        return self._bars.add_task(stage, total=total, visible=bool(stage), status="")

    def _reset(self) -> None:
        """Forget the metrics of the previous stage."""
        self._started = time.monotonic()
        self._first_step, self._total = 0, None
        self._latest: dict[str, str] = {}

    _total: int | None

    def _time_left(self, step: int) -> str:
        if not self._total or step <= self._first_step:
            return ""
        spent = time.monotonic() - self._started
        left = spent / (step - self._first_step) * (self._total - step)
        return f", {left:,.0f} s left"

    def _print_line(self, line: str, *, force: bool = False) -> None:
        """Print a line instead of a bar if the output is not a terminal."""
        now = time.monotonic()
        if self._console.is_terminal or (
            now - self._last_line < _SECONDS_BETWEEN_LINES and not force
        ):
            return
        self._last_line = now
        self._print(line)

    def _print(self, line: str, *, style: str | None = None, indent: str = "  ") -> None:
        """Print a line as it is, without markup and without wrapping."""
        self._console.print(
            f"{indent}{line}", style=style, markup=False, highlight=False, soft_wrap=True
        )


def short(path: Path) -> Path:
    """A path relative to the current directory, if it is below it.

    Example:
        >>> short(Path.cwd() / "data" / "shards").as_posix()
        'data/shards'
    """
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
