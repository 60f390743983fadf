"""The stages of a run and a store: looked up there, published, continued from there."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TypeVar

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback
from gpt_core.config import StoreConfig
from gpt_core.errors import DataError, DownloadError
from gpt_core.files import is_disk_full
from tasks.caching import cached_artifact, record_result
from tasks.in_use import is_locked
from tasks.paths import from_home, in_home
from tasks.progress import current_display
from tasks.store import (
    RESULT,
    CheckpointUploads,
    Lease,
    Objects,
    Pending,
    Reach,
    Uploads,
    add_pending,
    fetch_result,
    fetch_training,
    home_identity,
    list_pending,
    publish_result,
    read_usable,
    remove_pending,
    upload_training,
)

_QUIET_SECONDS = 2.0  # of waiting for uploads, before that is said
T = TypeVar("T")


class Store:
    """The store during a run.

    Args:
        uri: Its address.
        lease_seconds: How long a training is left to a machine without a sign of life.
    """

    def __init__(self, uri: str, lease_seconds: float) -> None:
        self._say = current_display().notice
        self._objects = Objects(uri)
        self._lease_seconds = lease_seconds
        self._reach = Reach(self._say)
        self._uploads = Uploads(self._reach)
        self._catch_up()

    @contextmanager
    def sharing(
        self, stage: str, key: str, out_dir: Path, run: str, *, trains: bool
    ) -> Iterator[None]:
        """Fetch a stage's result before the block, which makes it if need be; publish it after.

        Args:
            stage: The stage's name.
            key: Its key.
            out_dir: The directory of its result, or of its run.
            run: The name of the flow's run.
            trains: Wait for another machine that trains the same.
        """
        has_result = partial(self._find, stage, key, out_dir)
        there, lease = has_result(), None
        if trains and not there:
            lease = self._lease(stage, key, run, has_result)
        release = lease.release if lease is not None else _nothing
        try:
            yield
        except BaseException:
            release()
            raise
        self._publish(key, release, made=not there)

    @contextmanager
    def training(self, stage: str, key: str, run_dir: Path) -> Iterator[list[Callback]]:
        """Continue a training where the store has it, and upload its checkpoints in the block.

        Args:
            stage: The stage's name.
            key: Its key.
            run_dir: The run's directory.

        Yields:
            The callbacks that upload.

        Raises:
            CheckpointError: If another process trains in the directory.
        """
        from gpt_core.training.checkpoint import lock_run_dir  # imports torch

        with lock_run_dir(run_dir):
            step = self._ask(partial(fetch_training, self._objects, key, run_dir))
        if step is not None:
            self._say(f"{stage} continues with the store's checkpoint of step {step:,}")
        pending = Pending(key=key, store=str(self._objects), run_dir=in_home(str(run_dir)))

        def upload() -> None:
            try:
                add_pending(pending)
                self._ask(partial(self._upload, pending))
            except Exception as error:  # training continues whatever happens to its uploads
                self._say(f"a checkpoint of {stage} was not uploaded: {error}")

        uploads = CheckpointUploads(upload)
        try:
            yield [uploads]
        finally:
            uploads.close()

    def finish(self) -> None:
        """Wait until everything is published, or the store does not answer."""
        if not self._uploads.finish(_QUIET_SECONDS):
            self._say(f"publishing in {self._objects}; Ctrl-C leaves the rest to the next command")
            self._uploads.finish()
        self._catch_up()  # what failed, if the store is back
        self._uploads.finish()
        left = sum(not each.again for each in list_pending(str(self._objects)))
        if left:
            self._say(f"{left} results are not in {self._objects} yet: a later command sends them")

    def _find(self, stage: str, key: str, out_dir: Path) -> bool:
        """Whether the home has a stage's result, which may come from the store."""
        if cached_artifact(key) is not None:
            return True
        started = time.monotonic()
        found = self._ask(partial(self._fetch, key, out_dir), altered=key)
        if found is None:
            return False
        n_bytes = sum(entry.bytes for entry in found.manifest().files.values())
        self._say(
            f"{stage} comes from the store: {n_bytes:,} bytes in {time.monotonic() - started:.1f} s"
        )
        return True

    def _fetch(self, key: str, out_dir: Path) -> Artifact | None:
        artifact = fetch_result(self._objects, key, out_dir)
        if artifact is not None:
            record_result(key, artifact)
        return artifact

    def _lease(
        self, stage: str, key: str, run: str, has_result: Callable[[], bool]
    ) -> Lease | None:
        """Wait for the right to train; None if the result is there, or the store is away."""
        lease = Lease(self._objects, key, run, home_identity(), self._lease_seconds, self._say)
        return lease if self._ask(partial(lease.acquire, stage, has_result)) else None

    def _publish(self, key: str, then: Callable[[], None], *, made: bool) -> None:
        """Publish a result in the background, if the store does not have it."""
        store = str(self._objects)
        pending = next((each for each in list_pending(store) if each.key == key), None)
        pending = pending or Pending(key=key, store=store)
        if made:
            add_pending(pending)
        self._uploads.add(partial(self._publish_result, pending), then)

    def _publish_result(self, pending: Pending) -> None:
        artifact = cached_artifact(pending.key)
        if artifact is None and pending.again:
            return  # it is made again by a later command
        if artifact is not None and (pending.again or not self._has_result(pending.key)):
            add_pending(pending)
            publish_result(self._objects, pending.key, artifact, again=pending.again)
        remove_pending(pending.key)  # also if it was deleted meanwhile

    def _has_result(self, key: str) -> bool:
        return read_usable(self._objects, key, RESULT) is not None

    def _upload(self, pending: Pending) -> None:
        upload_training(
            self._objects, pending.key, Path(from_home(pending.run_dir)), again=pending.again
        )
        remove_pending(pending.key)

    def _catch_up(self) -> None:
        """Publish in the background what is left of earlier stages and commands."""
        for pending in list_pending(str(self._objects)):
            self._uploads.add(partial(self._publish_pending, pending))

    def _publish_pending(self, pending: Pending) -> None:
        run_dir = Path(from_home(pending.run_dir)) if pending.run_dir else None
        if run_dir is None or cached_artifact(pending.key) is not None:
            self._publish_result(pending)
        elif not run_dir.is_dir():
            remove_pending(pending.key)
        elif not is_locked(run_dir / "run.lock"):
            self._upload(pending)

    def _ask(self, call: Callable[[], T], altered: str | None = None) -> T | None:
        """Ask the store for something that the run can do without; None if that fails.

        Args:
            call: Asks.
            altered: The key of the stage whose objects are uploaded again if one was altered.

        Raises:
            DataError: If the disk is full.
            GPTCoreError: If it is another error than one of the store.
        """
        if self._reach.is_away:
            return None
        try:
            answer = call()
        except DownloadError as error:
            self._reach.note(error)
            return None
        except DataError as error:
            if is_disk_full(error):
                raise
            if altered is not None:
                add_pending(Pending(key=altered, store=str(self._objects), again=True))
            self._say(f"{error}; the run continues without it")
            return None
        self._reach.note(None)
        return answer


def _nothing() -> None:
    """Do nothing after a job."""


_STORE: ContextVar[Store | None] = ContextVar("store", default=None)


@contextmanager
def use_store(config: StoreConfig) -> Iterator[None]:
    """Share the stages of this block by a store, if the settings name one.

    An error of the block waits for what is being published, a signal does not.
    """
    if config.uri is None:
        yield
        return
    store = Store(config.uri, config.lease_seconds)
    token = _STORE.set(store)
    try:
        yield
    except Exception:
        store.finish()
        raise
    finally:
        _STORE.reset(token)
    store.finish()


def stored_stage(
    stage: str, key: str, out_dir: Path, run: str, *, trains: bool
) -> AbstractContextManager[None]:
    """Fetch a stage's result before the block and publish it after, see ``Store.sharing``."""
    store = _STORE.get()
    return store.sharing(stage, key, out_dir, run, trains=trains) if store else nullcontext()


def stored_training(
    stage: str, key: str, run_dir: Path
) -> AbstractContextManager[Sequence[Callback]]:
    """Continue a training and upload its checkpoints, see ``Store.training``."""
    store = _STORE.get()
    return store.training(stage, key, run_dir) if store else nullcontext([])
