"""Checkpoints as MLflow models: without training state, with their settings."""

from pathlib import Path

import pytest
from mlflow.artifacts import download_artifacts
from models import write_checkpoint

from gpt_core.artifact import Artifact, read_artifact, verify
from tasks.tracking import FlowRecord, client
from tasks.tracking.models import log_model, without_training_state

FILES = (
    "model.safetensors",
    "tokenizer/tokenizer.json",
    "training_state.pt",
    "training_state/shard-00001.safetensors",
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Artifact:
    config = [{"model": {"n_layer": 2}}, None, {"training": {"steps": 4}}]
    folder = tmp_path / "checkpoint"
    return write_checkpoint(folder, config=config, files=FILES, validation_loss=1.5, step=4.0)


def test_a_model_has_all_files_and_metrics_but_no_training_state(
    checkpoint: Artifact, tmp_path: Path
) -> None:
    model = without_training_state(checkpoint, tmp_path / "model")
    verify(model)
    assert set(model.manifest().files) == {*FILES[:2], "config.json"}
    assert model.metrics() == checkpoint.metrics()
    assert model.manifest().info == checkpoint.manifest().info
    assert list(model.manifest().parents.values()) == [checkpoint.fingerprint]
    verify(checkpoint)


def test_files_are_copied_where_they_cannot_be_linked(
    checkpoint: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    model = without_training_state(checkpoint, tmp_path / "model")
    verify(model)
    assert set(model.manifest().files) == {*FILES[:2], "config.json"}


def test_the_weights_are_on_disk_once_and_logged_once(
    record: FlowRecord, checkpoint: Artifact, home: Path
) -> None:
    model_id = log_model(record.run_id, checkpoint, "tiny-0.1-language-model", record.experiment)
    logged = client().get_logged_model(model_id)
    assert logged.params == {"model.n_layer": "2", "training.steps": "4"}
    assert logged.name == "tiny-0-1-language-model"
    assert str(logged.status) == "READY"
    stored = Path(logged.artifact_location)
    assert (stored / "model.safetensors").samefile(checkpoint.directory / "model.safetensors")
    verify(read_artifact(Path(download_artifacts(f"models:/{model_id}")), "checkpoint"))
    assert not list((home / "data").glob(".model-*"))
    assert log_model(record.run_id, checkpoint, "another", record.experiment) == model_id


def test_where_files_cannot_be_moved_the_store_gets_a_copy(
    record: FlowRecord, checkpoint: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(new: Path, path: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("tasks.tracking.models.replace_directory", refuse)
    model_id = log_model(record.run_id, checkpoint, "mine", record.experiment)
    stored = Path(client().get_logged_model(model_id).artifact_location)
    verify(read_artifact(stored, "checkpoint"))
    assert not (stored / "model.safetensors").samefile(checkpoint.directory / "model.safetensors")
