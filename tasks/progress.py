"""What a person sees while stages work: told by the tasks, drawn by whoever is at the door."""

from collections.abc import Mapping

from gpt_core.artifact import Artifact
from gpt_core.callbacks import RunInfo


class Display:
    """Shows nothing; a door puts a better one in its place."""

    def stage_started(self, stage: str) -> None:
        """A stage begins its work."""

    def progress(self, stage: str, unit: str, done: int, total: int | None) -> None:
        """So much of a stage is done."""

    def training_started(self, stage: str, run: RunInfo) -> None:
        """Training steps are about to be done."""

    def metrics(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """Figures of a training step."""

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        """What the model goes on with after a prompt."""

    def notice(self, message: str) -> None:
        """Something the user should know."""

    def stage_finished(self, stage: str, artifact: Artifact, seconds: float) -> None:
        """A stage has done its work."""

    def stage_present(self, stage: str, artifact: Artifact) -> None:
        """A stage's result is there, whether it was made now or before."""


class _Current:
    """The display of this process."""

    display = Display()


def set_display(display: Display) -> None:
    """Show the work of this process's tasks on a display."""
    _Current.display = display


def current_display() -> Display:
    """The display of this process."""
    return _Current.display
