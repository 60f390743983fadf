"""Which flow runs of this home have a process: close in Prefect those whose process has ended.

Each run holds a lock as long as its process lives, and notes its outcome before it ends. So a run
that Prefect still takes for running is closed as what it was: completed or failed, although the
server was away at its end, or killed.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout
from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound, PrefectException

from gpt_core.durable import make_directory
from gpt_core.files import write_json
from tasks.automations import KILLED
from tasks.in_use import is_locked
from tasks.notifications import config_of, killed_message, send_message
from tasks.paths import running_dir
from tasks.progress import current_display

_LOCK, _RECORD = ".flow.lock", ".flow.json"
_ANSWER_SECONDS = 5.0
_KEPT_DAYS = 30  # of a run that the server does not know, since another server may
_AWAY = (HTTPError, PrefectException, OSError)
_OPEN = (StateType.RUNNING, StateType.PENDING)
_UNTRUE = (StateType.RUNNING, StateType.CANCELLING)  # without a process
_RETRY = "AwaitingRetry"


_HELD: dict[str, FileLock] = {}
"""The runs of this process: it holds their locks until it ends, as its end is reported late."""


def hold_flow_run(run_id: UUID | str) -> bool:
    """Mark a flow run as having a process, this one, until the process ends.

    Waits for another process of the same run that was taken for dead and is not.

    Returns:
        Whether an earlier process of the run was killed.
    """
    key = str(run_id)
    make_directory(running_dir())
    started_before = _path(key).exists()
    is_retry = key in _HELD
    lock = _HELD[key] = FileLock(_path(key))
    with suppress(Timeout):
        lock.acquire(blocking=False)
    if not lock.is_locked:
        current_display().notice("another process of this run is still alive: waiting for its end")
        lock.acquire()
    was_killed = started_before and not is_retry and not _record(key).exists()
    if started_before:
        with suppress(*_AWAY), prefect_client() as client:
            close_tasks(client, UUID(key), _ended_as(key))
    if not has_completed(key):
        _record(key).unlink(missing_ok=True)
    return was_killed


def has_completed(run_id: UUID | str) -> bool:
    """Whether an earlier process of a run noted that it completed, and Prefect missed that."""
    return _ended_as(str(run_id)).type == StateType.COMPLETED


@contextmanager
def note_outcome(run_id: UUID | str) -> Iterator[None]:
    """Note how the block ended, which is a flow run's function, in case Prefect is away."""
    key = str(run_id)
    try:
        yield
    except Exception as error:
        _note(key, StateType.FAILED, str(error))
        raise
    except BaseException:
        _note(key, StateType.CRASHED, "It was asked to end")
        raise
    _note(key, StateType.COMPLETED, "")


def _note(run_id: str, kind: StateType, message: str) -> None:
    """Note how a run ended, in case Prefect is away."""
    write_json(_record(run_id), {"outcome": kind.value, "message": message})


def close_dead_runs() -> int:
    """Close in Prefect the runs of this home whose process has ended, if its server answers.

    Returns:
        The number of runs closed.
    """
    found = sorted(path for path in running_dir().glob(f"*{_LOCK}") if _name(path) not in _HELD)
    if not found:
        return 0
    try:
        with prefect_client() as client:
            return sum(_close_if_dead(client, path) for path in found)
    except _AWAY:
        return 0  # the next one does it


def prefect_client() -> SyncPrefectClient:
    """A client that does not wait long for an answer."""
    return get_client(sync_client=True, httpx_settings={"timeout": _ANSWER_SECONDS})


def is_held(run_id: UUID) -> bool:
    """Whether a process of this home works on a run."""
    return str(run_id) in _HELD or is_locked(_path(str(run_id)))


def close_tasks(client: SyncPrefectClient, run_id: UUID, state: State[object]) -> None:
    """Close the task runs of a flow run that no process works on."""
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])),
        task_run_filter=TaskRunFilter(
            state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(_OPEN)))
        ),
    )
    for task in tasks:
        client.set_task_run_state(task.id, state.model_copy(), force=True)


def killed_state() -> State[object]:
    """The state of a run whose process was killed."""
    return State(type=StateType.CRASHED, name="Crashed", message=KILLED)


def _close_if_dead(client: SyncPrefectClient, path: Path) -> bool:
    """Close a run if its lock is free; the lock is held meanwhile."""
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        _revive(client, UUID(_name(path)))
        return False
    with lock:
        try:
            run = client.read_flow_run(UUID(_name(path)))
            if run.state is not None and run.state.is_pending() and has_completed(run.id):
                return False  # its next process reads that there is nothing left to do
            closed = _close(client, run)
            _tell_if_killed(client, run)
        except ObjectNotFound:
            if time.time() - path.stat().st_mtime < _KEPT_DAYS * 86400:
                return False
            closed = False
        _record(_name(path)).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return closed


def _close(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Close a run that has no process any more as what it was, with its tasks."""
    state = _ended_as(str(run.id))
    close_tasks(client, run.id, state)
    current = run.state
    # A run has a lock from its work on: one that is pending has been put into the schedule again.
    if current is None or not (current.type in _UNTRUE or _is_mistaken(current, state)):
        return False
    if current.type == StateType.CANCELLING:
        state = State(type=StateType.CANCELLED, name="Cancelled")
    client.set_flow_run_state(run.id, state, force=True)
    return True


def _is_mistaken(current: State[object], noted: State[object]) -> bool:
    """Whether Prefect takes for crashed what completed or failed while its server was away."""
    if noted.type not in (StateType.COMPLETED, StateType.FAILED):
        return False
    return current.type == StateType.CRASHED or current.name == _RETRY


def _tell_if_killed(client: SyncPrefectClient, run: FlowRun) -> None:
    """Send a message about a run whose process was killed."""
    state = run.state
    if state is None or state.type not in (*_OPEN, StateType.CRASHED, StateType.SCHEDULED):
        return
    if _ended_as(str(run.id)).message == KILLED:
        name = f"{client.read_flow(run.flow_id).name} {run.name}"
        send_message(killed_message(name), config_of(run.parameters))


def _revive(client: SyncPrefectClient, run_id: UUID) -> None:
    """Take back a crash that did not happen: the server or this machine stood still for a while."""
    try:
        current = client.read_flow_run(run_id).state
    except ObjectNotFound:
        return
    if current is None or _record(str(run_id)).is_file():  # it ended, and its process does so
        return
    if current.type == StateType.CRASHED or current.name == _RETRY:
        running = State(type=StateType.RUNNING, name="Running", message="Its process lives")
        client.set_flow_run_state(run_id, running, force=True)


def _ended_as(run_id: str) -> State[object]:
    """The state that a run's process noted at its end; killed if it did not."""
    try:
        record = json.loads(_record(run_id).read_text(encoding="utf-8"))
        kind, message = StateType(record["outcome"]), str(record["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return killed_state()
    return State(type=kind, name=kind.value.title(), message=message or None)


def _name(path: Path) -> str:
    """The flow run of a lock."""
    return path.name.removesuffix(_LOCK)


def _path(run_id: str) -> Path:
    return running_dir() / f"{run_id}{_LOCK}"


def _record(run_id: str) -> Path:
    return running_dir() / f"{run_id}{_RECORD}"
