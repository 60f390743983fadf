"""Close the MLflow runs and models of processes that were killed: they cannot do that themselves.

A process locks a file for each flow that it records. The lock ends with the process, so the next
flow finds which runs were left open.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout
from mlflow.entities import LoggedModelStatus, RunStatus

from gpt_core.durable import make_directory
from gpt_core.redaction import redact
from tasks.paths import running_dir
from tasks.tracking.store import client, experiment_ids, tracking_uri

_ENDED = "its process was ended"


@contextmanager
def hold_run(run_id: str) -> Iterator[None]:
    """Mark a flow's MLflow run as being recorded by this process, until the block ends.

    Args:
        run_id: The flow's run; those of its stages belong to it.
    """
    make_directory(running_dir())
    path = running_dir() / f"{run_id}.{_store()}.lock"
    with FileLock(path):
        yield
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
            closed += _close_flow(path.name.partition(".")[0])
            path.unlink(missing_ok=True)
    return closed


def _close_flow(flow_run_id: str) -> int:
    """Close a flow's run and those of its stages that are still open."""
    mine = f"tags.`mlflow.parentRunId` = '{flow_run_id}'"
    own = f"attributes.run_id = '{flow_run_id}'"
    runs = [run for each in (mine, own) for run in client().search_runs(experiment_ids(), each)]
    is_open = RunStatus.to_string(RunStatus.RUNNING)
    left = [run.info.run_id for run in runs if run.info.status == is_open]
    for run_id in left:
        fail_models(run_id)
        client().set_tag(run_id, "error", _ENDED)
        client().set_terminated(run_id, RunStatus.to_string(RunStatus.KILLED))
    return len(left)


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
