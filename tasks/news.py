"""What a training process tells another one: each event a line of JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo


class NewsWriter(Callback):
    """Writes down every event of a run.

    Args:
        file: Gets a line for each.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8", newline="\n")

    def on_start(self, run: RunInfo) -> None:
        """Write it down."""
        self._tell("on_start", {**asdict(run), "out_dir": str(run.out_dir)})

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write it down."""
        self._tell("on_metrics", step, dict(metrics))

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Write it down."""
        self._tell("on_sample", step, prompt, text)

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        """Write it down."""
        self._tell("on_checkpoint", step, asdict(checkpoint))

    def on_notice(self, message: str) -> None:
        """Write it down."""
        self._tell("on_notice", message)

    def on_end(self, step: int) -> None:
        """Write it down."""
        self._tell("on_end", step)

    def _tell(self, event: str, *values: Any) -> None:
        self._file.write(json.dumps([event, *values]) + "\n")
        self._file.flush()


def pass_on(event: Sequence[Any], listeners: Sequence[Callback]) -> None:
    """Tell listeners what was written down."""
    name, *values = event
    if name == "on_start":
        values = [RunInfo(**{**values[0], "out_dir": Path(values[0]["out_dir"])})]
    elif name == "on_checkpoint":
        values = [values[0], Artifact(**values[1])]
    for listener in listeners:
        getattr(listener, name)(*values)
