"""The one ``gptflow up`` of a home: a lock shows that it lives, its orphans have its mark.

The lock is the kernel's, so it is free again however the process ended.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpt_core.errors import DataError
from gpt_core.files import write_json
from tasks import processes
from tasks.claims import mark_orphans
from tasks.credentials import make_private
from tasks.in_use import is_locked, running_flows
from tasks.paths import prefect_dir, project_root
from tasks.processes import WORKER
from tasks.servers import MLFLOW, PREFECT, stop_mlflow_server, stop_prefect_server

POOL_WORKER = "pool-worker"
"""A worker of a work pool, with the runs that it started."""

_SAVING_SECONDS = 60.0  # for a last checkpoint, before runs are killed
_ENDING_SECONDS = _SAVING_SECONDS + 30.0


@contextmanager
def only_up() -> Iterator[None]:
    """Be the only ``gptflow up`` of this home, and end what a killed one left.

    The Prefect server stays, as other commands may use it. At the end of the block nothing is
    left.

    Raises:
        DataError: If another one runs.
    """
    make_private(prefect_dir())
    try:
        held = FileLock(_lock_file(), timeout=0).acquire()
    except Timeout:
        raise DataError(
            f"gptflow up runs already in {project_root()}: use it, or stop it with gptflow down"
        ) from None
    with held:
        mark_orphans()
        processes.end([WORKER])
        stop_mlflow_server()
        processes.end([MLFLOW])
        write_json(_record_file(), {"pid": os.getpid(), "started": _start_time(os.getpid())})
        os.environ.update(processes.mark(WORKER))
        try:
            yield
        finally:
            _end_all()
            _record_file().unlink(missing_ok=True)


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Keep servers of this home from starting until the block ends.

    Raises:
        DataError: If one runs, or a run.
    """
    make_private(prefect_dir())
    advice = f"in {project_root()}: stop it with gptflow down, and wait for runs, first"
    try:
        held = FileLock(_lock_file(), timeout=0).acquire()
    except Timeout:
        raise DataError(f"gptflow up runs {advice}") from None
    with held, FileLock(prefect_dir() / "server.lock"):
        if processes.running([WORKER, POOL_WORKER, MLFLOW, PREFECT]) or running_flows():
            raise DataError(f"a server or a run is running {advice}")
        yield


def stop_everything() -> bool:
    """Stop ``gptflow up``, the servers and the runs of the worker; False if nothing ran."""
    if not prefect_dir().is_dir():
        return False
    found = _stop_up()
    _record_file().unlink(missing_ok=True)
    return _end_all() or found


def _stop_up() -> bool:
    """Let ``gptflow up`` end itself, by force if it does not."""
    pid = _recorded_up()
    if pid is None:
        return False
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.kill(pid, sent)
        try:
            with FileLock(_lock_file(), timeout=_ENDING_SECONDS):
                break
        except Timeout:
            continue
    return True


def _recorded_up() -> int | None:
    """The process that holds the lock, None if nobody does."""
    try:
        with FileLock(_lock_file(), timeout=0):
            return None
    except Timeout:
        pass
    try:
        record = json.loads(_record_file().read_text(encoding="utf-8"))
        pid, started = int(record["pid"]), str(record["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if _start_time(pid) == started else None


def is_up_running() -> bool:
    """Whether a ``gptflow up`` of this home runs."""
    return is_locked(_lock_file())


def left_by_up() -> list[int]:
    """The processes that a ``gptflow up`` started and, if it runs no more, left."""
    return processes.running([WORKER, MLFLOW])


def _end_all() -> bool:
    """End what has the mark of this home; the servers last, so that runs can report their end."""
    ended = processes.end([WORKER, POOL_WORKER], _SAVING_SECONDS)
    stopped = [stop_mlflow_server(), stop_prefect_server()]
    return ended + processes.end([MLFLOW, PREFECT]) > 0 or any(stopped)


def _start_time(pid: int) -> str:
    """When a process started, in the system's own words; empty where it does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return fields.rpartition(")")[2].split()[19]


def _lock_file() -> Path:
    return prefect_dir() / "up.lock"


def _record_file() -> Path:
    return prefect_dir() / "up.json"
