"""Recorded runs are read as they were written, from a real store."""

import json
import math
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.callbacks import SAMPLES
from gpt_core.config import RunConfig
from gpt_core.errors import DataError
from tasks.tracking import RecordedRun, client, read_run, tracked_flow

LOSSES = {2: 3.5, 4: 3.0, 6: 2.75}
SAMPLE = {"step": 6, "prompt": "In", "text": " winter [bold] 'it' \""}


@pytest.fixture
def checkpoint(home: Path) -> Artifact:
    run = home / "data" / "checkpoints" / "it's mine"
    with new_artifact(run / "step-00000006", kind="checkpoint") as draft:
        (draft.directory / "model.safetensors").write_text("weights")
    (run / SAMPLES).write_text(json.dumps(SAMPLE) + "\n")
    return draft.artifact


def record_flow(name: str, checkpoint: Artifact, *, cached: bool) -> str:
    """Record a flow that pretrained, or found the model in the cache."""
    with tracked_flow("pretrain", RunConfig(name=name), {}) as flow:
        if not cached:
            tags = {
                "stage": "pretrain",
                "mlflow.parentRunId": flow.run_id,
                "artifact": checkpoint.path,
            }
            run = client().create_run(client().get_run(flow.run_id).info.experiment_id, tags=tags)
            for step, loss in LOSSES.items():
                client().log_metric(run.info.run_id, "train/loss", loss, step=step)
            client().log_metric(run.info.run_id, "validation/loss", 2.9, step=6)
            client().log_metric(run.info.run_id, "validation/loss", 2.9, step=6)  # sent twice
        client().set_tag(flow.run_id, "artifact.pretrain", checkpoint.path)
        client().log_metric(flow.run_id, "pretrain/validation_loss", 2.9)
    return flow.run_id


def check(run: RecordedRun, name: str) -> None:
    assert run.name.startswith(f"{name} ")
    assert run.metrics == {"result/validation_loss": 2.9}, "also where it has its old name"
    assert dict(zip(run.curves["step"], run.curves["train/loss"], strict=True)) == LOSSES
    validation = run.curves["validation/loss"]
    assert [value for value in validation if not math.isnan(value)] == [2.9]
    assert run.samples.to_dict("records") == [SAMPLE]


def test_a_run_has_the_curves_and_samples_of_its_pretraining(checkpoint: Artifact) -> None:
    first = record_flow("mine", checkpoint, cached=False)
    second = record_flow("mine", checkpoint, cached=True)
    check(read_run(first), "mine")
    check(read_run(second), "mine")
    assert read_run("mine").name == f"mine {second[:6]}", "the newest of its name"


def test_a_flow_keeps_its_curves_when_the_run_of_its_training_is_deleted(home: Path) -> None:
    with tracked_flow("pretrain", RunConfig(name="mine"), {}) as flow:
        for step, loss in LOSSES.items():
            client().log_metric(flow.run_id, "loss/train", loss, step=step)
    curves = read_run("mine").curves
    assert dict(zip(curves["step"], curves["train/loss"], strict=True)) == LOSSES


def test_without_pretraining_there_is_no_curve(home: Path) -> None:
    with tracked_flow("prepare", RunConfig(name="text"), {}):
        pass
    run = read_run("text")
    assert run.curves.empty
    assert run.samples.empty


@pytest.mark.parametrize("name", ["nobody", "it's", "'\""])
def test_a_run_that_does_not_exist_is_one_sentence(home: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"MLflow has no run with the name or id {name}"):
        read_run(name)
