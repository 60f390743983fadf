"""Send the callback events of a training process to another one: JSON lines in a file."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from typing_extensions import override

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo


class EventWriter(Callback):
    """Appends every event of a run to a file, for ``read_events``.

    Args:
        file: Gets a line for each event.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @override
    def on_start(self, run: RunInfo) -> None:
        self._write("start", {**asdict(run), "out_dir": str(run.out_dir)})

    @override
    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._write("metrics", step, dict(metrics))

    @override
    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self._write("sample", step, prompt, text)

    @override
    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        self._write("checkpoint", step, asdict(checkpoint))

    @override
    def on_notice(self, message: str) -> None:
        self._write("notice", message)

    @override
    def on_end(self, step: int) -> None:
        self._write("end", step)

    def _write(self, name: str, *values: object) -> None:
        if not self._file.parent.is_dir():
            return  # nobody reads it: the launcher was killed, and the next one removed the folder
        with self._file.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps([name, *values]) + "\n")


def read_events(file: Path, has_ended: Callable[[], bool]) -> Iterator[object]:
    """Read events while they are written.

    Args:
        file: What an ``EventWriter`` appends to; it need not exist yet.
        has_ended: Whether the writing process has ended; it waits a moment before it says no.

    Yields:
        Each event, a name and its values, until the process has ended and all are read.
    """
    position, ended = 0, False
    while not ended:
        ended = has_ended()
        lines = _complete_lines(file, position)
        position += len(lines)
        for line in lines.splitlines():
            yield json.loads(line)


def _complete_lines(file: Path, position: int) -> bytes:
    """The lines from a position on, without a last one that is still being written."""
    if not file.is_file():
        return b""
    with file.open("rb") as content:
        content.seek(position)
        found = content.read()
    return found[: found.rfind(b"\n") + 1]


def replay(event: object, callbacks: Sequence[Callback]) -> None:
    """Call the method of an event on every callback.

    Raises:
        ValueError: If it is not an event that an ``EventWriter`` writes.
    """
    for callback in callbacks:
        match event:
            case ["start", dict(run)]:
                callback.on_start(RunInfo(**{**run, "out_dir": Path(run["out_dir"])}))
            case ["metrics", int(step), dict(metrics)]:
                callback.on_metrics(step, metrics)
            case ["sample", int(step), str(prompt), str(text)]:
                callback.on_sample(step, prompt, text)
            case ["checkpoint", int(step), dict(checkpoint)]:
                callback.on_checkpoint(step, Artifact(**checkpoint))
            case ["notice", str(message)]:
                callback.on_notice(message)
            case ["end", int(step)]:
                callback.on_end(step)
            case _:
                raise ValueError(f"expected an event of a training process, got {event!r}")
