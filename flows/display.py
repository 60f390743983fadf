"""What a person sees in the terminal: a bar where one can be drawn, else a line now and then."""

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from gpt_core.artifact import Artifact
from gpt_core.training import RunInfo
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
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task("", visible=False, news="")
        self._said = 0.0
        self._started = time.monotonic()
        self._first_step = 0
        self._total: int | None = None
        self._validation = ""
        self._finished: set[str] = set()

    def __enter__(self) -> "TerminalDisplay":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def stage_started(self, stage: str) -> None:
        """Draw an empty bar."""
        self._validation, self._total, self._first_step = "", None, 0
        self._started = time.monotonic()
        self._bars.reset(self._bar, description=stage, total=None, visible=True, news="")
        self._say(f"{stage} ...", force=True)

    def progress(self, stage: str, unit: str, done: int, total: int | None) -> None:
        """Move the bar."""
        rate = done / max(1e-9, time.monotonic() - self._started)
        self._bars.update(self._bar, completed=done, total=total, news=f"{rate:,.0f} {unit}/s")
        self._say(f"{stage}: {done:,} {unit}, {rate:,.0f} a second")

    def training_started(self, stage: str, run: RunInfo) -> None:
        """Say what is trained."""
        self._total, self._first_step = run.total_steps, run.first_step
        self._started = time.monotonic()
        self._console.print(
            f"  {run.n_parameters:,} parameters, {run.total_steps:,} steps of "
            f"{run.tokens_per_step:,} tokens on {run.device} in {run.precision}"
            + (f", going on from step {run.first_step:,}" if run.first_step else "")
        )

    def metrics(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """Show loss, rate and time left."""
        for name in ("validation/loss", "validation/accuracy"):
            if name in metrics:
                self._validation = f", {name.replace('/', ' ')} {metrics[name]:.3f}"
        news = self._validation.lstrip(", ")
        if "train/loss" in metrics:
            news = f"loss {metrics['train/loss']:.3f}{self._validation}"
        if "train/tokens_per_second" in metrics:
            news += f", {metrics['train/tokens_per_second']:,.0f} tokens/s"
        self._bars.update(self._bar, completed=step, total=self._total, news=news)
        place = f"step {step:,}" + (f" of {self._total:,}" if self._total else "")
        first = self._first_step and step <= self._first_step + 10
        self._say(f"{stage}: {place}, {news}{self._time_left(step)}", force=bool(first))

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        """Show the beginning of a sample."""
        line = " ".join(f"{prompt}{text}".split())[:_SAMPLE_WIDTH]
        self._console.print(f"  step {step:,}: {line}", style="dim", markup=False, highlight=False)

    def notice(self, message: str) -> None:
        """Show a notice."""
        self._console.print(f"  note: {message}", style="yellow", markup=False)

    def stage_finished(self, stage: str, artifact: Artifact, seconds: float) -> None:
        """Say what was made."""
        self._bars.update(self._bar, visible=False)
        self._finished.add(stage)
        self._console.print(f"[green]✓[/green] {stage} ({seconds:.1f} s)  {_short(artifact)}")

    def stage_present(self, stage: str, artifact: Artifact) -> None:
        """Say that nothing was to be done."""
        if stage not in self._finished:
            self._console.print(f"[green]✓[/green] {stage} (there already)  {_short(artifact)}")

    def _time_left(self, step: int) -> str:
        if not self._total or step <= self._first_step:
            return ""
        spent = time.monotonic() - self._started
        left = spent / (step - self._first_step) * (self._total - step)
        return f", {left:,.0f} s left"

    def _say(self, line: str, *, force: bool = False) -> None:
        """A line in place of a bar, where there is no terminal."""
        now = time.monotonic()
        if self._console.is_terminal or (now - self._said < _SECONDS_BETWEEN_LINES and not force):
            return
        self._said = now
        self._console.print(f"  {line}", markup=False, highlight=False)


def _short(artifact: Artifact) -> str:
    """An artifact's place as it is typed from here."""
    path, here = artifact.directory, Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
