"""The display of running stages: tasks report to it, the command line draws it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from typing_extensions import override

from gpt_core.artifact import Artifact
from gpt_core.callbacks import RunInfo


class Display:
    """No-op display; the command line installs a terminal display."""

    def stage_started(self, stage: str) -> None:
        """A stage starts."""

    def progress(self, stage: str, unit: str, done: int, total: int | None) -> None:
        """A stage has processed ``done`` of ``total`` units."""

    def training_started(self, stage: str, run: RunInfo) -> None:
        """The first training step is next."""

    def metrics(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics of a training step."""

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        """A continuation that the model generated."""

    def notice(self, message: str) -> None:
        """Something the user should know."""

    def stage_finished(self, stage: str, artifact: Artifact, seconds: float) -> None:
        """A stage has made its artifact."""

    def stage_present(self, stage: str, artifact: Artifact) -> None:
        """A stage's artifact is available, made now or cached."""


class Displays(Display):
    """Several displays that all show the same.

    Args:
        displays: Each of them is called with everything.
    """

    def __init__(self, *displays: Display) -> None:
        self._displays = displays

    @override
    def stage_started(self, stage: str) -> None:
        for display in self._displays:
            display.stage_started(stage)

    @override
    def progress(self, stage: str, unit: str, done: int, total: int | None) -> None:
        for display in self._displays:
            display.progress(stage, unit, done, total)

    @override
    def training_started(self, stage: str, run: RunInfo) -> None:
        for display in self._displays:
            display.training_started(stage, run)

    @override
    def metrics(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        for display in self._displays:
            display.metrics(stage, step, metrics)

    @override
    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        for display in self._displays:
            display.sample(stage, step, prompt, text)

    @override
    def notice(self, message: str) -> None:
        for display in self._displays:
            display.notice(message)

    @override
    def stage_finished(self, stage: str, artifact: Artifact, seconds: float) -> None:
        for display in self._displays:
            display.stage_finished(stage, artifact, seconds)

    @override
    def stage_present(self, stage: str, artifact: Artifact) -> None:
        for display in self._displays:
            display.stage_present(stage, artifact)


_DISPLAY: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def use_display(display: Display) -> Iterator[None]:
    """Show the stages that run in this block on a display."""
    token = _DISPLAY.set(display)
    try:
        yield
    finally:
        _DISPLAY.reset(token)


def current_display() -> Display:
    """The display of the current context."""
    return _DISPLAY.get() or Display()
