"""Callback events survive the file between two processes, also while it is being written."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo
from tasks.events import EventWriter, read_events, replay

CHECKPOINT = Artifact(kind="checkpoint", path="data/step-4", fingerprint="f" * 32)


class Recorder(Callback):
    """Keeps every call with its arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def on_start(self, run: RunInfo) -> None:
        self.calls.append(("start", run))

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.calls.append(("metrics", step, dict(metrics)))

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self.calls.append(("sample", step, prompt, text))

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        self.calls.append(("checkpoint", step, checkpoint))

    def on_notice(self, message: str) -> None:
        self.calls.append(("notice", message))

    def on_end(self, step: int) -> None:
        self.calls.append(("end", step))


def call_all(callback: Callback) -> None:
    callback.on_start(
        RunInfo(
            total_steps=4,
            first_step=0,
            tokens_per_step=128,
            n_parameters=9,
            device="cpu",
            precision="fp32",
            out_dir=Path("data/run"),
        )
    )
    callback.on_metrics(2, {"train/loss": 1.5, "train/accuracy": float("inf")})
    callback.on_sample(2, "مرحبا\n", "line\u2028separator \r\n")
    callback.on_checkpoint(4, CHECKPOINT)
    callback.on_notice("a notice")
    callback.on_end(4)


def test_every_event_is_replayed_as_it_was_written_on_every_callback(tmp_path: Path) -> None:
    expected, first, second = Recorder(), Recorder(), Recorder()
    call_all(expected)
    call_all(EventWriter(tmp_path / "events.jsonl"))
    for event in read_events(tmp_path / "events.jsonl", lambda: True):
        replay(event, [first, second])
    assert first.calls == second.calls == expected.calls
    assert len(expected.calls) == 6


def test_events_are_read_while_they_are_written_and_only_complete_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    written = iter([b"", b'["end", 1]\n["end", ', b"2]", b'\n["end", 3]\n'])

    def has_ended() -> bool:
        with file.open("ab") as content:
            content.write(next(written))
        return file.stat().st_size > 30

    assert list(read_events(file, has_ended)) == [["end", 1], ["end", 2], ["end", 3]]


def test_a_process_that_wrote_nothing_has_no_events(tmp_path: Path) -> None:
    assert list(read_events(tmp_path / "none.jsonl", lambda: True)) == []


@pytest.mark.parametrize("event", [None, [], ["end"], ["end", "1"], ["metrics", 1], ["on_end", 1]])
def test_what_is_no_event_is_refused(event: object) -> None:
    with pytest.raises(ValueError, match="expected an event of a training process"):
        replay(event, [Callback()])
