"""The loss curves of a pretraining in its flow's run."""

import json
from pathlib import Path

from models import pretrained

from gpt_core.callbacks import METRICS
from tasks.tracking import FlowRecord, client
from tasks.tracking.curves import send_curves


def test_each_step_is_sent_once_and_a_damaged_record_is_left_out(
    registry_home: Path, flow: FlowRecord
) -> None:
    checkpoint = pretrained(registry_home, "curves/step-00000004")
    rows = [{"step": 2, "train/loss": 3.0}, {"step": 4, "train/loss": "x", "validation/loss": 2.5}]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows) + '{"step": 6, "train/l'
    (checkpoint.directory.parent / METRICS).write_text(lines)
    for _ in range(2):
        send_curves(flow.run_id, checkpoint)
    for name, points in {"loss/train": [(2, 3.0)], "loss/validation": [(4, 2.5)]}.items():
        history = client().get_metric_history(flow.run_id, name)
        assert [(metric.step, metric.value) for metric in history] == points


def test_a_model_without_pretraining_has_no_curve(registry_home: Path, flow: FlowRecord) -> None:
    send_curves(flow.run_id, pretrained(registry_home, "imported"))
    assert client().get_run(flow.run_id).data.metrics == {}
