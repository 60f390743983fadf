"""Checkpoints are copied to host memory and written in the background."""

from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact, verify
from gpt_core.errors import DataError
from gpt_core.training.checkpoint import Snapshot
from gpt_core.training.saving import BackgroundSaver, HostCopier, PendingCheckpoint


def test_a_copy_is_independent_and_its_buffers_are_reused() -> None:
    first, second = torch.ones(2), torch.zeros(1)
    tree = {"a": [first, (3, second)]}
    copier = HostCopier()
    copy = copier.copy(tree, "state")
    first.add_(1)
    assert copy["a"][0].tolist() == [1.0, 1.0]
    assert copy["a"][1][0] == 3
    again = copier.copy(tree, "state")
    assert again["a"][0].tolist() == [2.0, 2.0]
    assert again["a"][0].data_ptr() == copy["a"][0].data_ptr()
    grown = copier.copy({"a": [torch.ones(3), (3, second)]}, "state")
    assert grown["a"][0].tolist() == [1.0] * 3


def snapshot_of(shards: Artifact, config_of) -> Snapshot:
    return Snapshot(
        step=3, weights={"wte.weight": torch.ones(2, 2)}, state={}, config=config_of(),
        parents=[shards], metrics={"train_loss": 1.5},
    )  # fmt: skip


def test_rank_0_writes_the_checkpoint_and_the_others_nothing(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    snapshot = snapshot_of(shards, config_of)
    with BackgroundSaver() as saver:
        assert saver.finished() is None
        saver.start(PendingCheckpoint(tmp_path, snapshot, is_first=False))
        assert saver.wait() is None
        assert list(tmp_path.iterdir()) == []
        saver.start(PendingCheckpoint(tmp_path, snapshot, is_first=True))
        checkpoint = saver.wait()
        assert saver.wait() is None, "it is returned once"
    assert checkpoint is not None
    verify(checkpoint)
    assert checkpoint.directory == tmp_path / "step-00000003"
    assert checkpoint.metrics() == {"train_loss": 1.5}


def test_the_error_of_a_failed_write_is_raised_once(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    pending = PendingCheckpoint(
        tmp_path / "file" / "run", snapshot_of(shards, config_of), is_first=True
    )
    with BackgroundSaver() as saver:
        saver.start(pending)
        with pytest.raises(DataError, match="cannot be written"):
            saver.wait()
        assert saver.wait() is None


def test_leaving_the_saver_waits_for_the_write(shards: Artifact, config_of, tmp_path: Path) -> None:
    with BackgroundSaver() as saver:
        saver.start(PendingCheckpoint(tmp_path, snapshot_of(shards, config_of), is_first=True))
    assert (tmp_path / "step-00000003" / "manifest.json").is_file()
