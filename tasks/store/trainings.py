"""Checkpoints of a training in progress: uploaded in the background, fetched to continue it.

The store keeps what a home would continue with: the newest checkpoint, the best one, and the run's
metrics up to then.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path

from typing_extensions import override

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.callbacks import Callback
from gpt_core.checkpoints import list_steps, step_of_directory
from gpt_core.errors import DataError, GPTCoreError
from tasks.store.objects import Objects
from tasks.store.records import (
    RESULT,
    RUN_FILES,
    TRAINING,
    Record,
    object_of,
    read_record,
    read_usable,
)
from tasks.store.transfer import fetch, fetch_run_files, link_directory, publish

_TRIES = 3
_CLOSING_SECONDS = 20.0  # for the last checkpoint of a run that is stopped


class CheckpointUploads(Callback):
    """Uploads the newest checkpoint whenever there is one; training never waits for it.

    Args:
        upload: Uploads the newest checkpoint of the run; raises no error of the store.
    """

    def __init__(self, upload: Callable[[], None]) -> None:
        self._upload = upload
        self._changed = threading.Condition()
        self._wanted = self._ending = False
        run = copy_context().run
        self._thread = threading.Thread(
            target=run, args=(self._work,), name="store-checkpoints", daemon=True
        )
        self._thread.start()

    @override
    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        """Upload it, unless there is a newer one by then."""
        with self._changed:
            self._wanted = True
            self._changed.notify()

    def close(self) -> None:
        """Wait a moment for the last checkpoint."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(_CLOSING_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._ending)
                if not self._wanted:
                    return
                self._wanted = False
            self._upload()


def upload_training(objects: Objects, key: str, run_dir: Path, *, again: bool = False) -> None:
    """Upload the newest and the best checkpoint of a run, unless the store has later ones.

    What it had of earlier checkpoints is deleted after that.

    Args:
        objects: The store.
        key: The stage's key.
        run_dir: The run's directory.
        again: Upload also what the store seems to have.

    Raises:
        DataError: If the store refuses.
        DownloadError: If the store does not answer.
    """
    for _ in range(_TRIES):
        checkpoints = _kept(run_dir)
        earlier = read_usable(objects, key, TRAINING)
        if not checkpoints or not (again or _is_earlier(earlier, checkpoints)):
            return
        with suppress(FileNotFoundError):  # training has pruned a checkpoint: there is a newer one
            record = _publish_linked(objects, key, run_dir, checkpoints, again=again)
            if earlier is not None:
                _delete_superseded(objects, key, earlier, record)
            return


def fetch_training(objects: Objects, key: str, run_dir: Path) -> int | None:
    """Fetch the checkpoints of a run if the store has a newer one than this home.

    Call it with the run's lock held.

    Returns:
        The newest one's step, None if nothing was fetched.

    Raises:
        DataError: If an object is missing, cut short or altered, or the disk is full.
        DownloadError: If the store does not answer.
    """
    for attempt in range(_TRIES):
        record = read_record(objects, key, TRAINING)
        if record is None or not _is_later(record, run_dir):
            return None
        try:
            for stored in reversed(record.artifacts):  # the newest one is the last to appear
                fetch(objects, key, stored, run_dir / stored.folder)
            fetch_run_files(objects, key, record, run_dir)
        except DataError:
            # Another machine that trains may have replaced the checkpoints meanwhile.
            if attempt == _TRIES - 1 or read_record(objects, key, TRAINING) == record:
                raise
            continue
        return _newest(record)
    return None


def _publish_linked(
    objects: Objects, key: str, run_dir: Path, checkpoints: list[Artifact], *, again: bool
) -> Record:
    """Publish checkpoints from second names of their files, because training prunes the first.

    Raises:
        FileNotFoundError: If one was pruned already.
    """
    with tempfile.TemporaryDirectory(prefix=".step-upload-", dir=run_dir) as folder:
        linked = []
        for checkpoint in checkpoints:
            name = checkpoint.directory.name
            directory = Path(folder) / name
            link_directory(checkpoint.directory, directory)
            linked.append((name, read_artifact(directory, "checkpoint")))
        run_files = {}
        for name in RUN_FILES:
            if (run_dir / name).is_file():
                run_files[name] = Path(shutil.copyfile(run_dir / name, Path(folder) / name))
        return publish(objects, key, TRAINING, linked, run_files, again=again)


def _kept(run_dir: Path) -> list[Artifact]:
    """The newest checkpoint of a run, and the best one if that is another."""
    from gpt_core.training.checkpoint import best_checkpoint  # imports torch

    for directory in list_steps(run_dir):
        with suppress(DataError):
            newest, best = read_artifact(directory, "checkpoint"), best_checkpoint(run_dir)
            return [newest] if best in (None, newest) else [newest, best]
    return []


def _is_earlier(record: Record | None, checkpoints: list[Artifact]) -> bool:
    """Whether a record has earlier checkpoints than a home."""
    if record is None:
        return True
    ours = step_of_directory(checkpoints[0].directory)
    theirs = _newest(record)
    has_all = {each.fingerprint for each in record.artifacts} >= {
        each.fingerprint for each in checkpoints
    }
    return ours > theirs or (ours == theirs and not has_all)


def _is_later(record: Record, run_dir: Path) -> bool:
    """Whether a record has a newer checkpoint than a home."""
    for directory in list_steps(run_dir):
        with suppress(DataError):
            read_artifact(directory, "checkpoint")
            return _newest(record) > step_of_directory(directory)
    return True


def _newest(record: Record) -> int:
    return max(step_of_directory(Path(each.folder)) for each in record.artifacts)


def _delete_superseded(objects: Objects, key: str, earlier: Record, record: Record) -> None:
    """Delete the objects of earlier checkpoints that no record of the stage needs any more."""
    result = read_record(objects, key, RESULT)
    needed = record.hashes() | (result.hashes() if result is not None else set())
    entries = [entry for each in earlier.artifacts for entry in each.files.values()]
    for entry in [*entries, *earlier.run_files.values()]:
        if entry.sha256 not in needed:
            with suppress(GPTCoreError):  # it is only space
                objects.delete(object_of(key, entry))
