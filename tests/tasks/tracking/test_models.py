"""Checkpoints as MLflow models: without training state, with their settings."""

from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact, verify
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
    with new_artifact(tmp_path / "checkpoint", kind="checkpoint", config=config) as draft:
        for name in FILES:
            (draft.directory / name).parent.mkdir(exist_ok=True)
            (draft.directory / name).write_text(name)
        draft.info["step"] = 4
        draft.metrics.update(loss=1.5, step=4.0)
    return draft.artifact


def test_a_model_has_all_files_and_metrics_but_no_training_state(
    checkpoint: Artifact, tmp_path: Path
) -> None:
    model = without_training_state(checkpoint, tmp_path / "model")
    verify(model)
    assert set(model.manifest().files) == set(FILES[:2])
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
    assert set(model.manifest().files) == set(FILES[:2])


def test_settings_of_several_sections_are_the_models_parameters(
    record: FlowRecord, checkpoint: Artifact, home: Path
) -> None:
    model_id = log_model(record.run_id, checkpoint, "tiny-0.1-pretrained")
    logged = client().get_logged_model(model_id)
    assert logged.params == {"model.n_layer": "2", "training.steps": "4"}
    assert logged.name == "tiny-0-1-pretrained"
    assert str(logged.status) == "READY"
    version = client().get_model_version_by_alias("tiny-0.1-pretrained", "newest")
    assert version.run_id == record.run_id
    assert not list((home / "data").glob(".model-*"))
