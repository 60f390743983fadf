"""Open an MLflow run, or an interrupted one again, and close it as what it was."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from gpt_core.errors import GPTCoreError
from gpt_core.redaction import redact
from tasks.tracking.params import shorten
from tasks.tracking.resuming import run_file
from tasks.tracking.runs import run_tags
from tasks.tracking.store import UNREACHABLE, answers, client, require_answer, tracking_uri


@contextmanager
def open_run(
    create: Callable[[], str],
    describe: Callable[[str], None],
    tags: Mapping[str, str],
    remembered: Path | None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Resume an interrupted run or create one; close it with its status when the block ends.

    Args:
        create: Creates a run with its tags and returns its id.
        describe: Records what else is known of a new run from its beginning.
        tags: Tags that a resumed run gets.
        remembered: Where the run's id is kept until the run is complete; None to resume nothing.
        settings: A run of other settings is not resumed.

    Raises:
        DataError: If the tracking server went away and did not come back.
    """
    with run_file(remembered) as file:
        found = _resume(file.read(settings), tags)
        run_id = found or create()
        with _status(run_id):
            if found is None:
                describe(run_id)
                file.write(run_id, settings)
            yield run_id


def _resume(run_id: str | None, tags: Mapping[str, str]) -> str | None:
    """Reopen an interrupted run; None if there is none."""
    found = _find_run(run_id) if run_id else None
    if found is None:
        return None
    client().log_batch(found.info.run_id, tags=run_tags(tags), synchronous=True)  # its new holder
    client().update_run(found.info.run_id, status="RUNNING")
    if "error" in found.data.tags:
        client().delete_tag(found.info.run_id, "error")
    return run_id


def _find_run(run_id: str) -> Run | None:
    try:
        found = client().get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None
    return found if found.info.lifecycle_stage == "active" else None


@contextmanager
def _status(run_id: str) -> Iterator[None]:
    """Close a run with its status; of a user's mistake only the message is recorded.

    Raises:
        DataError: If the tracking server went away and did not come back.
    """
    try:
        yield
        client().set_terminated(run_id, "FINISHED")
    except GPTCoreError as error:
        _close(run_id, "FAILED", str(error))
        raise
    except BaseException as error:
        if isinstance(error, UNREACHABLE):
            require_answer(tracking_uri(), 0.0)
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        _close(run_id, "KILLED" if stopped else "FAILED", repr(error))
        raise


def _close(run_id: str, status: str, error: str) -> None:
    """Mark a run as ended; if the server is unreachable, it stays open for the next command."""
    if answers(tracking_uri()):
        with suppress(*UNREACHABLE):
            client().set_tag(run_id, "error", shorten(redact(error)))
            client().set_terminated(run_id, status)
