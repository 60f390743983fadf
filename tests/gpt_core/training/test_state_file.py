"""A training state is read back, has the same bytes when it is equal, and fails as files do."""

import errno
import os
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact, new_artifact, read_artifact
from gpt_core.callbacks import read_records
from gpt_core.checkpoints import TRAINING_STATE, list_steps
from gpt_core.errors import CheckpointError
from gpt_core.training import pretrain
from gpt_core.training.state_file import load_state, state_errors, write_state

CPU = torch.device("cpu")


def test_the_state_is_read_back(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "made", kind="checkpoint") as draft:
        write_state({"step": 7, "rng": [torch.arange(3)]}, draft.directory / TRAINING_STATE)
    state = load_state(draft.artifact, CPU)
    assert (state["step"], state["rng"][0].tolist()) == (7, [0, 1, 2])
    (tmp_path / "made" / TRAINING_STATE).write_bytes(b"no state")
    with pytest.raises(CheckpointError, match="cannot be read as training state"):
        load_state(draft.artifact, CPU)


def test_equal_states_have_equal_bytes_whatever_objects_they_share(tmp_path: Path) -> None:
    name, pair = "a name", (0.9, 0.95)
    again, other = "".join(["a ", "name"]), (float("0.9"), float("0.95"))
    for file, names, pairs in (
        ("a", [name, name], [pair, pair]),
        ("b", [name, again], [pair, other]),
    ):
        state = {each: torch.ones(2) for each in names} | {"names": names, "pairs": pairs}
        write_state(state, tmp_path / file)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_interrupted_run_has_the_fingerprints_of_an_uninterrupted_one(
    shards: Artifact, config_of, recorder_of, uninterrupted, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config_of(), tmp_path, callbacks=[recorder_of(stop_at=6)])
    pretrain(shards, config_of(), tmp_path)
    assert len(read_records(tmp_path / "metrics.jsonl")) > 0
    for directory in list_steps(uninterrupted[0]):
        again = tmp_path / directory.name
        files = [path.relative_to(directory) for path in directory.rglob("*") if path.is_file()]
        for file in files:
            if file.name != "manifest.json":
                assert (again / file).read_bytes() == (directory / file).read_bytes(), file
        assert fingerprint(again) == fingerprint(directory)


def fingerprint(directory: Path) -> str:
    return read_artifact(directory, "checkpoint").fingerprint


def test_a_full_disk_is_the_systems_error_and_none_of_torch(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    state = {"step": 1, "rng": [torch.zeros(100_000)]}
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        write_state(state, Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("error", [KeyError("step"), TypeError("x"), RuntimeError("of shape")])
def test_a_state_of_another_model_is_one_sentence(tmp_path: Path, error: Exception) -> None:
    checkpoint = Artifact(kind="checkpoint", path=str(tmp_path), fingerprint="0" * 32)
    with (
        pytest.raises(CheckpointError, match="is not the training state of this model"),
        state_errors(checkpoint),
    ):
        raise error
