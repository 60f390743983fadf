"""Artifacts that are in use: a stage that takes one from the cache marks it, under a lock.

``gptflow clean`` holds the same lock while it decides and renames, so that an artifact is either
found in use or made again, and never removed under a run that has just found it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gpt_core.artifact import Artifact
from gpt_core.durable import make_directory
from tasks.paths import artifacts_lock, running_dir

_FLOW_LOCKS = f"*.{'[0-9a-f]' * 12}.lock"  # with MLflow's run and store


@contextmanager
def artifacts_locked(*, alone: bool) -> Iterator[None]:
    """Hold the lock of this home's artifacts; it ends with the process.

    Args:
        alone: Whether nobody else may hold it; else any number of processes do.
    """
    file = artifacts_lock()
    if sys.platform == "win32" or not (alone or file.parent.is_dir()):
        yield  # there is nothing yet that could be removed
        return
    import fcntl  # which Windows does not have

    make_directory(file.parent)
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def mark_used(artifact: Artifact) -> None:
    """Note that an artifact is used now: by the time of its directory, which it does not use."""
    with suppress(OSError):  # not ours to write
        os.utime(artifact.directory)


def running_flows() -> list[str]:
    """The holders of the MLflow runs that processes of this home are recording now."""
    return [
        path.name.partition(".")[0] for path in running_dir().glob(_FLOW_LOCKS) if is_locked(path)
    ]


def is_locked(file: Path) -> bool:
    """Whether a process holds a lock that ends with it."""
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
