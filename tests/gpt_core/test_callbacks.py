"""Callbacks forward, record and print the events of a run."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact
from gpt_core.callbacks import (
    METRICS,
    SAMPLES,
    Callback,
    Callbacks,
    JsonlRecorder,
    ProgressLines,
    RunInfo,
    read_records,
)
from gpt_core.errors import DataError

CHECKPOINT = Artifact(kind="checkpoint", path="run/step-00000002", fingerprint="0" * 32)


def run_info(first_step: int = 0) -> RunInfo:
    return RunInfo(
        total_steps=10, first_step=first_step, tokens_per_step=256, n_parameters=1234,
        device="cpu", precision="fp32", out_dir=Path("run"),
    )  # fmt: skip


def send_every_event(callback: Callback) -> None:
    callback.on_start(run_info())
    callback.on_metrics(2, {"train/loss": 1.5, "train/tokens_per_second": 1000.0})
    callback.on_metrics(2, {"validation/loss": 1.25})
    callback.on_sample(2, "In", " winter\nit snows")
    callback.on_checkpoint(2, CHECKPOINT)
    callback.on_notice("the disk is nearly full")
    callback.on_end(10)


def test_callbacks_forward_every_event_in_order() -> None:
    received: list[str] = []

    class Named(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_start(self, run: RunInfo) -> None:
            received.append(f"{self.name} start {run.total_steps}")

        def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
            received.append(f"{self.name} metrics {step} {len(metrics)}")

        def on_sample(self, step: int, prompt: str, text: str) -> None:
            received.append(f"{self.name} sample {step} {prompt}")

        def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
            received.append(f"{self.name} checkpoint {step} {checkpoint.path}")

        def on_notice(self, message: str) -> None:
            received.append(f"{self.name} notice {message}")

        def on_end(self, step: int) -> None:
            received.append(f"{self.name} end {step}")

    send_every_event(Callbacks([Named("a"), Named("b")]))
    events = [
        "start 10", "metrics 2 2", "metrics 2 1", "sample 2 In",
        "checkpoint 2 run/step-00000002", "notice the disk is nearly full", "end 10",
    ]  # fmt: skip
    assert received == [f"{name} {event}" for event in events for name in "ab"]


def test_the_recorder_writes_metrics_and_samples_as_json_lines(tmp_path: Path) -> None:
    send_every_event(JsonlRecorder(tmp_path, first_step=0))
    assert read_records(tmp_path / METRICS) == [
        {"step": 2, "train/loss": 1.5, "train/tokens_per_second": 1000.0},
        {"step": 2, "validation/loss": 1.25},
    ]
    samples = [{"step": 2, "prompt": "In", "text": " winter\nit snows"}]
    assert read_records(tmp_path / SAMPLES) == samples


def test_the_recorder_drops_the_records_of_repeated_steps(tmp_path: Path) -> None:
    recorder = JsonlRecorder(tmp_path, first_step=0)
    for step in (2, 4, 6):
        recorder.on_metrics(step, {"train/loss": 1.0})
        recorder.on_sample(step, "", "text")
    JsonlRecorder(tmp_path, first_step=4).on_metrics(6, {"train/loss": 2.0})
    assert [(r["step"], r["train/loss"]) for r in read_records(tmp_path / METRICS)] == [
        (2, 1.0), (4, 1.0), (6, 2.0),
    ]  # fmt: skip
    assert [record["step"] for record in read_records(tmp_path / SAMPLES)] == [2, 4]


def test_the_recorder_names_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"metrics\.jsonl cannot be written.*resumes from the last"):
        JsonlRecorder(tmp_path / "file", first_step=0)


def test_a_line_cut_short_by_a_crash_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / METRICS
    file.write_text(json.dumps({"step": 1, "a": 2.0}) + '\n{"step": 2, "a"')
    assert read_records(file) == [{"step": 1, "a": 2.0}]
    assert read_records(tmp_path / "absent.jsonl") == []


def test_progress_lines_report_every_event() -> None:
    lines: list[str] = []
    send_every_event(ProgressLines(lines.append))
    assert lines[0] == "1,234 parameters, 10 steps of 256 tokens on cpu in fp32"
    assert lines[1].startswith("step 2 of 10, loss 1.5000, 1,000 tokens/s, 0:0")
    assert lines[1].endswith(" left")
    assert lines[2:] == [
        "step 2 of 10, validation loss 1.2500",
        "step 2: In winter it snows",
        "step 2: saved run/step-00000002",
        "note: the disk is nearly full",
    ]


def test_a_resumed_run_is_described_with_its_first_step() -> None:
    assert run_info(first_step=4).describe().endswith("in fp32, resuming from step 4")
