"""The checkpoint behind a registered model: the one in this home, or a checked download."""

import shutil
from pathlib import Path

import pytest
from models import pretrained

from gpt_core.errors import DataError
from tasks.tracking import FlowRecord, client, registered_checkpoint
from tasks.tracking.registry import find_version


def test_a_model_that_is_not_here_any_more_is_downloaded_and_checked(
    registry_home: Path, flow: FlowRecord
) -> None:
    original = pretrained(registry_home, "gone")
    flow.note("pretrain", original)
    name = f"models:/{flow.prefix}-language-model@candidate"
    shutil.rmtree(original.directory)
    fetched = registered_checkpoint(name)
    assert fetched.directory.is_relative_to(registry_home / "data" / "models")
    assert original.fingerprint in fetched.manifest().parents.values()
    assert (fetched.directory / "model.safetensors").read_text() == "model.safetensors of gone"
    stored = Path(client().get_logged_model(find_version(name).model_id).artifact_location)
    shutil.copy(stored / "model.safetensors", stored / "kept")
    (stored / "model.safetensors").unlink()
    (stored / "model.safetensors").write_text("model.safetensors of ????")
    assert registered_checkpoint(name) == fetched, "it is downloaded once"
    shutil.rmtree(fetched.directory)
    with pytest.raises(DataError, match=r"cannot be used: .* was altered since it was written"):
        registered_checkpoint(name)
    (stored / "kept").rename(stored / "model.safetensors")
    (stored / "stranger.pkl").write_bytes(b"no part of the model")
    again = registered_checkpoint(name)
    assert not (again.directory / "stranger.pkl").exists()
    shutil.rmtree(again.directory)
    shutil.rmtree(stored)
    with pytest.raises(DataError, match="is not in this home, and MLflow's artifacts do not have"):
        registered_checkpoint(name)
