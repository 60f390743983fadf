"""Runs and models are found again by what they made, in a real store."""

import importlib
from pathlib import Path

import pytest
from models import write_checkpoint

from gpt_core.artifact import Artifact
from gpt_core.errors import DataError
from tasks.specs import STAGES
from tasks.tracking import FlowRecord, artifact_of, client, find_stage_run
from tasks.tracking.lookup import RESULTS


@pytest.fixture
def checkpoint(home: Path) -> Artifact:
    directory = home / "data" / "checkpoints" / "mine"
    return write_checkpoint(directory)


def test_the_run_that_made_an_artifact_is_found(record: FlowRecord, checkpoint: Artifact) -> None:
    assert find_stage_run(checkpoint.fingerprint) is None
    client().set_tag(record.run_id, "fingerprint", checkpoint.fingerprint)
    found = find_stage_run(checkpoint.fingerprint)
    assert found is not None
    assert (found.run_id, found.stage) == (record.run_id, "prepare")
    assert found.started.endswith("+00:00")


def test_a_run_stands_for_what_it_made(record: FlowRecord, checkpoint: Artifact) -> None:
    with pytest.raises(DataError, match=f"the run {record.run_id} has made no artifact"):
        artifact_of(record.run_id)
    client().set_tag(record.run_id, "artifact.pretrain", "/pretrained")
    assert artifact_of(record.run_id) == "/pretrained"
    client().set_tag(record.run_id, "artifact.finetune_classifier", "/classifier")
    assert artifact_of(record.run_id) == "/classifier"
    client().set_tag(record.run_id, "artifact", checkpoint.path)
    assert artifact_of(record.run_id) == checkpoint.path


def test_the_stages_whose_results_runs_stand_for_are_there() -> None:
    importlib.import_module("tasks.stages")
    assert set(RESULTS) <= {spec.name for spec in STAGES.values()}


def test_a_registered_model_stands_for_its_checkpoint(
    record: FlowRecord, checkpoint: Artifact
) -> None:
    record.note("pretrain", checkpoint)
    for name in ("models:/language-model@candidate", "models:/language-model/1"):
        assert artifact_of(name) == checkpoint.path


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("0123456789abcdef", "MLflow has no run or model 0123456789abcdef"),
        ("models:/mine@best", "there is no models:/mine@best: no model is registered in this home"),
    ],
)
def test_what_is_not_there_is_one_sentence(home: Path, name: str, error: str) -> None:
    with pytest.raises(DataError, match=error):
        artifact_of(name)
