"""Checkpoints of a training in progress: the newest is in the store, another home continues it."""

import json
import threading
import time
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact, verify
from gpt_core.callbacks import METRICS
from gpt_core.checkpoints import step_directory
from gpt_core.durable import remove_directory
from tasks.store.objects import Objects
from tasks.store.records import TRAINING, object_of, place, read_record
from tasks.store.trainings import CheckpointUploads, fetch_training, upload_training

KEY = "0123456789abcdef" * 2


def save(run_dir: Path, step: int, loss: float) -> Artifact:
    with new_artifact(step_directory(run_dir, step), kind="checkpoint") as draft:
        (draft.directory / "model.safetensors").write_bytes(step.to_bytes(1000))
        (draft.directory / "tokenizer").mkdir()
        (draft.directory / "tokenizer" / "tokenizer.json").write_text("{}")
        draft.info["step"] = step
        draft.metrics["validation_loss"] = loss
    with (run_dir / METRICS).open("a") as file:
        file.write(json.dumps({"step": step, "train/loss": loss}) + "\n")
    return draft.artifact


def steps(run_dir: Path) -> list[str]:
    return sorted(path.name for path in run_dir.glob("step-*"))


def test_another_home_gets_the_newest_and_the_best(objects: Objects, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for step, loss in ((10, 3.0), (20, 2.0), (30, 2.5), (40, 2.4)):
        save(here, step, loss)
    upload_training(objects, KEY, here)
    assert fetch_training(objects, KEY, there) == 40
    assert steps(there) == ["step-00000020", "step-00000040"]
    for name in steps(there):
        verify(Artifact(kind="checkpoint", path=str(there / name), fingerprint=""))
    assert (there / METRICS).read_bytes() == (here / METRICS).read_bytes()
    assert fetch_training(objects, KEY, there) is None
    assert sorted(path.name for path in here.iterdir() if path.name.startswith(".")) == []


def test_what_was_superseded_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    objects, here = Objects(tmp_path.as_uri()), tmp_path / "here"
    save(here, 10, 3.0)
    upload_training(objects, KEY, here)
    first = read_record(objects, KEY, TRAINING)
    save(here, 20, 2.0)
    upload_training(objects, KEY, here)
    second = read_record(objects, KEY, TRAINING)
    assert first is not None
    assert second is not None
    stored = {path.name for path in (tmp_path / "stages" / KEY / "files").iterdir()}
    assert stored == second.hashes()
    assert first.hashes() - stored
    assert first.hashes() & stored  # the tokenizer is the same file


def test_later_checkpoints_of_another_home_are_not_replaced(tmp_path: Path) -> None:
    objects = Objects(tmp_path.as_uri())
    save(tmp_path / "ahead", 50, 1.0)
    save(tmp_path / "behind", 20, 2.0)
    upload_training(objects, KEY, tmp_path / "ahead")
    upload_training(objects, KEY, tmp_path / "behind")
    assert fetch_training(objects, KEY, tmp_path / "behind") == 50
    assert fetch_training(objects, KEY, tmp_path / "ahead") is None


def test_a_checkpoint_that_is_pruned_while_it_is_sent_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, here = Objects(tmp_path.as_uri()), tmp_path / "here"
    checkpoint = save(here, 10, 3.0)
    upload = Objects.upload

    def prune_and_upload(self: Objects, *arguments: object) -> None:
        if checkpoint.directory.exists():
            remove_directory(checkpoint.directory)
        upload(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("tasks.store.transfer._AT_ONCE", 1)
    monkeypatch.setattr(Objects, "upload", prune_and_upload)
    upload_training(objects, KEY, here)
    assert fetch_training(objects, KEY, tmp_path / "there") == 10


def test_an_altered_checkpoint_is_refused(tmp_path: Path) -> None:
    objects = Objects(tmp_path.as_uri())
    save(tmp_path / "here", 10, 3.0)
    upload_training(objects, KEY, tmp_path / "here")
    record = read_record(objects, KEY, TRAINING)
    assert record is not None
    objects.write(object_of(KEY, record.artifacts[0].files["model.safetensors"]), bytes(1000))
    with pytest.raises(Exception, match="was altered: its sha256 is not the one that was publi"):
        fetch_training(objects, KEY, tmp_path / "there")
    assert steps(tmp_path / "there") == []


def test_training_never_waits_and_the_newest_wins(tmp_path: Path) -> None:
    uploading, continuing, calls = threading.Event(), threading.Event(), []

    def upload() -> None:
        calls.append(len(saved))
        uploading.set()
        continuing.wait(30)

    saved: list[int] = []
    uploads = CheckpointUploads(upload)
    checkpoint = Artifact(kind="checkpoint", path=str(tmp_path), fingerprint="")
    began = time.monotonic()
    for step in range(1, 8):
        saved.append(step)
        uploads.on_checkpoint(step, checkpoint)
        if step == 1:
            assert uploading.wait(30)
    assert time.monotonic() - began < 10
    continuing.set()
    uploads.close()
    assert calls == [1, 7]


def test_objects_of_a_training_are_below_its_key(tmp_path: Path) -> None:
    objects = Objects(tmp_path.as_uri())
    save(tmp_path / "here", 10, 3.0)
    upload_training(objects, KEY, tmp_path / "here")
    assert (tmp_path / place(KEY, TRAINING)).is_file()
    assert [path.name for path in (tmp_path / "stages").iterdir()] == [KEY]
