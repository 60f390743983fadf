"""The MLflow tracking store: its address, its client, its experiment and links to its pages."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TypedDict, cast
from urllib.parse import quote, urlsplit

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from gpt_core.errors import DataError
from gpt_core.redaction import redact
from tasks.addresses import hide_server_passwords
from tasks.backup import back_up
from tasks.environment import served_artifacts
from tasks.paths import experiments_file, tracking_database, tracking_dir, tracking_store
from tasks.progress import current_display
from tasks.servers import mlflow_ui_url
from tasks.tracking.moved import follow_home
from tasks.tracking.view import VIEW_PARAMETER, VIEW_TAG, view_state

UNREACHABLE = (MlflowException, RequestException, OSError)
"""The errors of a store that cannot be reached."""

_PORTS = {"http": 80, "https": 443}
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_CONNECT_SECONDS = 5.0  # for a server that has not answered yet
_RECONNECT_SECONDS = 60.0  # for a server that went away
_FLOW_SECONDS = 3600.0  # for either, in a flow's run, which nobody may be watching
_PAUSE_SECONDS = 0.5
_WAITING: ContextVar[bool] = ContextVar("waiting", default=False)
_OURS = "gptflow"  # the tag of its experiments
_AS_TRAINING = "?workflowType=machine_learning"  # else MLflow shows its pages for agents


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI`` without a password, or the embedded SQLite store.

    A server's password moves to the variable that MLflow reads; a database's address keeps it.
    """
    hide_server_passwords()
    return os.environ.get("MLFLOW_TRACKING_URI") or tracking_store()


@contextmanager
def waiting_for_server() -> Iterator[None]:
    """In the block, a flow's run, ``client`` waits an hour for a server that is away."""
    token = _WAITING.set(True)
    try:
        yield
    finally:
        _WAITING.reset(token)


def client() -> MlflowClient:
    """A client of this project's store; waits for a server that went away.

    Raises:
        DataError: If it does not come back within a minute, or an hour in a flow's run.
    """
    uri = tracking_uri()
    if _WAITING.get():
        require_answer(uri, _FLOW_SECONDS)
        return client_for(uri)
    opened = client_for(uri)
    require_answer(uri, _RECONNECT_SECONDS)
    return opened


@cache
def client_for(uri: str) -> MlflowClient:
    """A client of a store, whose tables are created or migrated to this MLflow's schema.

    A lock serializes this, because several processes may open a new SQLite store at once.

    Raises:
        DataError: If the store is a server that does not answer, or a database that MLflow cannot
            open.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It prints the traceback of each failed statement, whose error is raised anyway.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    require_answer(uri, _CONNECT_SECONDS)
    mlflow.set_tracking_uri(uri)
    try:
        if uri.startswith("sqlite"):
            _create_or_upgrade(uri)
        elif urlsplit(uri).scheme not in _PORTS:
            MlflowClient(uri).search_experiments(max_results=1)
        return MlflowClient(uri)
    except (*UNREACHABLE, SQLAlchemyError, ImportError, subprocess.CalledProcessError) as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise DataError(f"MLflow's store {redact(uri)} cannot be used: {reason[0]}") from error


def _create_or_upgrade(uri: str) -> None:
    tracking_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(tracking_dir() / "artifacts.lock"):
        try:
            MlflowClient(uri).search_experiments(max_results=1)
        except MlflowException as error:
            if "out-of-date" not in str(error):
                raise
            back_up(name="before-upgrade")
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
            subprocess.run(command, check=True, capture_output=True, cwd=tracking_dir())
        if uri == tracking_store():
            follow_home()


def require_answer(uri: str, seconds: float) -> None:
    """Wait until a tracking server accepts connections; other stores need no waiting.

    Raises:
        DataError: If it does not within ``seconds``.
    """
    started, is_said = time.monotonic(), False
    while not answers(uri):
        waited = time.monotonic() - started
        if not is_said and waited > _CONNECT_SECONDS:
            is_said = True
            current_display().notice(
                f"the MLflow server at {redact(uri)} does not answer: the run waits for it, up "
                f"to {seconds / 60:.0f} minutes"
            )
        if waited > seconds:
            raise DataError(
                f"the MLflow server at {uri} does not answer: start it and give "
                "the same command again, which resumes from here, or unset MLFLOW_TRACKING_URI"
            )
        time.sleep(_PAUSE_SECONDS)


def answers(uri: str) -> bool:
    """Whether a tracking server accepts connections; True for any other store."""
    parts = urlsplit(uri)
    if parts.scheme not in _PORTS:
        return True
    address = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True


def store_exists() -> bool:
    """Whether there is a store: an embedded one begins with the first run."""
    return tracking_uri() != tracking_store() or tracking_database().is_file()


def experiment_id(name: str | None = None) -> str:
    """An experiment, created if it does not exist.

    Args:
        name: Its name; None is the one in ``mlflow/experiments.toml``.

    Raises:
        DataError: If it was deleted.
    """
    name = name or settings()["experiment"]["name"]
    tags = {**settings()["experiment"]["tags"], _OURS: "runs", VIEW_TAG: view_state()}
    found = client().get_experiment_by_name(name)
    if found is None:
        return _create_experiment(name, tags)
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise DataError(
            f"the MLflow experiment {name} was deleted: restore it in MLflow, or set "
            "tracking.experiment to another name"
        )
    for tag in (_OURS, VIEW_TAG):
        if found.tags.get(tag) != tags[tag]:  # made by an earlier version, or by another program
            client().set_experiment_tag(found.experiment_id, tag, tags[tag])
    return str(found.experiment_id)


def _create_experiment(name: str, tags: dict[str, str]) -> str:
    in_database = tracking_uri().startswith(_DATABASES)
    place = served_artifacts() if in_database else None  # a server knows where they go
    try:
        return str(client().create_experiment(name, artifact_location=place, tags=tags))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        return experiment_id(name)  # another process created it


def experiment_ids() -> list[str]:
    """Every experiment that gptflow has recorded runs to."""
    ours = client().search_experiments(filter_string=f"tags.{_OURS} = 'runs'")
    found = [str(experiment.experiment_id) for experiment in ours]
    default = client().get_experiment_by_name(settings()["experiment"]["name"])
    if default is not None and default.lifecycle_stage == LifecycleStage.ACTIVE:
        found.append(str(default.experiment_id))  # perhaps of an earlier version, without the tag
    return list(dict.fromkeys(found))


def run_link(run_id: str, experiment: str) -> str:
    """The address of a run's page: on the tracking server, or on the embedded store's UI.

    Args:
        run_id: The run.
        experiment: The id of its experiment.
    """
    return f"{_page()}/experiments/{experiment}/runs/{run_id}{_AS_TRAINING}"


def runs_link(name: str | None = None) -> str:
    """The address of the list of an experiment's runs, with the key metrics as columns.

    Args:
        name: The experiment; None is the one in ``mlflow/experiments.toml``.
    """
    page = f"{_page()}/experiments/{experiment_id(name)}/runs"
    return f"{page}{_AS_TRAINING}&{VIEW_PARAMETER}"


def comparison_link(runs: Mapping[str, str]) -> str:
    """The address of MLflow's page that compares runs.

    Args:
        runs: The experiment of each run, by the runs' ids.
    """
    chosen = quote(json.dumps(list(runs), separators=(",", ":")))
    experiments = quote(json.dumps(list(dict.fromkeys(runs.values())), separators=(",", ":")))
    return f"{_page()}/compare-runs?runs={chosen}&experiments={experiments}"


def _page() -> str:
    uri = tracking_uri()
    server = redact(uri) if uri.startswith("http") else mlflow_ui_url()
    return f"{server.rstrip('/')}/#"


class ExperimentNames(TypedDict):
    """The experiment of runs that do not name one."""

    name: str
    tags: dict[str, str]


class Names(TypedDict):
    """The content of ``mlflow/experiments.toml``."""

    experiment: ExperimentNames


@cache
def settings() -> Names:
    """Read ``mlflow/experiments.toml``."""
    return cast(Names, tomllib.loads(experiments_file().read_text(encoding="utf-8")))
