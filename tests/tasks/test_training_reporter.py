"""A training run's events reach the display, Prefect and MLflow."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gpt_core.callbacks import RunInfo
from tasks.progress import Display
from tasks.stage import StageRun
from tasks.tracking import FlowRecord, client, tracked_stage
from tasks.training_reporter import TrainingReporter


class Recorded(Display):
    """A display that records what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def training_started(self, stage: str, run: RunInfo) -> None:
        self.events.append((stage, run.total_steps))

    def metrics(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        self.events.append((stage, step, dict(metrics)))

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        self.events.append((stage, step, prompt, text))

    def notice(self, message: str) -> None:
        self.events.append((message,))


def test_events_are_shown_recorded_and_kept(record: FlowRecord, tmp_path: Path) -> None:
    info = RunInfo(
        total_steps=2, first_step=0, tokens_per_step=8, n_parameters=3, device="cpu",
        precision="fp32", out_dir=tmp_path,
    )  # fmt: skip
    display = Recorded()
    with tracked_stage("pretrain", record, [], [], tags={}) as stage_record:
        run = StageRun("pretrain", record, tmp_path, stage_record, display=display)
        with TrainingReporter(run) as reporter:
            reporter.on_start(info)
            for step in (1, 2):
                reporter.on_metrics(step, {"train/loss": 5.0 - step})
            reporter.on_sample(2, "a", "b")
            reporter.on_notice("mind this")
    assert display.events == [
        ("pretrain", 2), ("pretrain", 1, {"train/loss": 4.0}), ("pretrain", 2, {"train/loss": 3.0}),
        ("pretrain", 2, "a", "b"), ("mind this",),
    ]  # fmt: skip
    assert reporter.metrics().to_dict("list") == {"step": [1, 2], "train/loss": [4.0, 3.0]}
    history = client().get_metric_history(stage_record.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 4.0), (2, 3.0)]
    history = client().get_metric_history(record.run_id, "loss/train")
    assert [(metric.step, metric.value) for metric in history] == [(1, 4.0), (2, 3.0)]
    assert run.bar is not None


def test_a_resumed_run_says_where_it_continues(record: FlowRecord, tmp_path: Path) -> None:
    info = RunInfo(
        total_steps=9_000, first_step=4_000, tokens_per_step=8, n_parameters=3, device="cpu",
        precision="fp32", out_dir=tmp_path,
    )  # fmt: skip
    (tmp_path / "metrics.jsonl").touch()
    display = Recorded()
    with tracked_stage("pretrain", record, [], [], tags={}) as stage_record:
        run = StageRun("pretrain", record, tmp_path, stage_record, display=display)
        with TrainingReporter(run) as reporter:
            reporter.on_start(info)
    said = f"pretrain continues at step 4,000 of 9,000, in MLflow's run {stage_record.run_id}"
    assert display.events == [("pretrain", 9_000), (said,)]


def test_a_run_has_no_metrics_before_its_first_step(record: FlowRecord, tmp_path: Path) -> None:
    with tracked_stage("pretrain", record, [], [], tags={}) as stage_record:
        run = StageRun("pretrain", record, tmp_path, stage_record, Display())
        with pytest.raises(RuntimeError), TrainingReporter(run) as reporter:
            raise RuntimeError
    assert reporter.metrics().empty


def test_records_of_a_training_that_had_ended_are_sent(record: FlowRecord, tmp_path: Path) -> None:
    rows = [json.dumps({"step": step, "train/loss": 5.0 - step}) for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows))
    with tracked_stage("pretrain", record, [], [], tags={}) as stage_record:
        run_id = stage_record.run_id
        client().log_metric(run_id, "train/loss", 4.0, step=1)  # what the killed process had sent
        run = StageRun("pretrain", record, tmp_path, stage_record, Display())
        with TrainingReporter(run) as reporter:
            pass  # the checkpoint is complete: nothing is trained
    history = client().get_metric_history(run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 4.0), (2, 3.0), (3, 2.0)]
    history = client().get_metric_history(record.run_id, "loss/train")
    assert [metric.step for metric in history] == [1, 2, 3]
    assert reporter.metrics()["step"].tolist() == [1, 2, 3]
