"""Close the MLflow runs and models of processes that were killed: they cannot do that themselves.

A process locks a file for each flow that it records. The lock ends with the process, so the next
flow finds which runs were left open.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from filelock import FileLock, Timeout
from mlflow.entities import LoggedModelStatus, RunStatus

from gpt_core.durable import make_directory
from gpt_core.redaction import redact
from tasks.paths import running_dir
from tasks.tracking.store import client, experiment_ids, tracking_uri

HOLDER = "holder"
"""The tag of a flow's run with the name of the lock that its process holds."""

_ENDED = "its process was ended"


@contextmanager
def hold_runs() -> Iterator[dict[str, str]]:
    """Mark a flow's MLflow run, and those of its stages, as being recorded until the block ends.

    Yields:
        The tag that the flow's run must have from its creation on, so that there is no moment at
        which it could be left open unnoticed.
    """
    make_directory(running_dir())
    holder = uuid4().hex
    path = running_dir() / f"{holder}.{_store()}.lock"
    with FileLock(path):
        yield {HOLDER: holder}
        path.unlink(missing_ok=True)  # else its runs are looked at again, which finds them closed


def close_abandoned() -> int:
    """Close what killed processes left open in this store.

    Returns:
        The number of runs closed.
    """
    closed = 0
    for path in sorted(running_dir().glob(f"*.{_store()}.lock")):
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            continue  # it is running
        with lock:
            closed += _close_held(path.name.partition(".")[0])
            path.unlink(missing_ok=True)
    return closed


def close_stages(flow_run_id: str) -> int:
    """Close the runs of a flow's stages that are still open, since nothing works on them.

    Returns:
        The number of runs closed.
    """
    found = client().search_runs(
        experiment_ids(),
        f"tags.`mlflow.parentRunId` = '{flow_run_id}' AND attributes.status = 'RUNNING'",
    )
    for run in found:
        _close(run.info.run_id)
    return len(found)


def _close_held(holder: str) -> int:
    """Close the runs of a process that has ended, first those of its stages."""
    closed = 0
    for run in client().search_runs(experiment_ids(), f"tags.{HOLDER} = '{holder}'"):
        closed += close_stages(run.info.run_id)
        if run.info.status == RunStatus.to_string(RunStatus.RUNNING):
            _close(run.info.run_id)
            closed += 1
    return closed


def _close(run_id: str) -> None:
    """Close a run that no process records."""
    fail_models(run_id)
    client().set_tag(run_id, "error", _ENDED)
    client().set_terminated(run_id, RunStatus.to_string(RunStatus.KILLED))


def fail_models(run_id: str) -> None:
    """Close the models that a run has begun to log and not finished."""
    found = client().search_logged_models(
        experiment_ids(), filter_string=f"source_run_id = '{run_id}'"
    )
    for model in found:
        if model.status == LoggedModelStatus.PENDING:
            client().finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def _store() -> str:
    """A short name of the tracking store, without its address."""
    return hashlib.sha256(redact(tracking_uri()).encode()).hexdigest()[:12]
