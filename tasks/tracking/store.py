"""The MLflow tracking store: its address, its client, its experiment and links to its pages."""

import logging
import os
import socket
import subprocess
import sys
import time
import tomllib
from functools import cache
from typing import TypedDict, cast
from urllib.parse import urlsplit

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from gpt_core.errors import DataError
from gpt_core.redaction import redact
from tasks.addresses import hide_server_passwords
from tasks.environment import served_artifacts
from tasks.paths import experiments_file, tracking_dir, tracking_store
from tasks.servers import mlflow_ui_url
from tasks.tracking.moved import follow_home

UNREACHABLE = (MlflowException, RequestException, OSError)
"""The errors of a store that cannot be reached."""

_PORTS = {"http": 80, "https": 443}
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_CONNECT_SECONDS = 5.0  # for a server that has not answered yet
_RECONNECT_SECONDS = 60.0  # for a server that went away
_AS_TRAINING = "?workflowType=machine_learning"  # else MLflow shows its pages for agents


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI`` without a password, or the embedded SQLite store.

    A server's password moves to the variable that MLflow reads; a database's address keeps it.
    """
    hide_server_passwords()
    return os.environ.get("MLFLOW_TRACKING_URI") or tracking_store()


def client() -> MlflowClient:
    """A client of this project's store; waits for a server that went away.

    Raises:
        DataError: If it does not come back within a minute.
    """
    uri = tracking_uri()
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
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
            subprocess.run(command, check=True, capture_output=True, cwd=tracking_dir())
        if uri == tracking_store():
            follow_home()


def require_answer(uri: str, seconds: float) -> None:
    """Wait until a tracking server accepts connections; other stores need no waiting.

    Raises:
        DataError: If it does not within ``seconds``.
    """
    until = time.monotonic() + seconds
    while not answers(uri):
        if time.monotonic() > until:
            raise DataError(
                f"the MLflow server at {uri} does not answer: start it and give "
                "the same command again, which resumes from here, or unset MLFLOW_TRACKING_URI"
            )
        time.sleep(0.5)


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


def experiment_id() -> str:
    """The experiment of all runs, created if it does not exist."""
    name, tags = settings()["experiment"]["name"], settings()["experiment"]["tags"]
    found = client().get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    in_database = tracking_uri().startswith(_DATABASES)
    place = served_artifacts() if in_database else None  # a server knows where they go
    try:
        return str(client().create_experiment(name, artifact_location=place, tags=tags))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        return experiment_id()  # another process created it


def run_link(run_id: str) -> str:
    """The address of a run's page: on the tracking server, or on the embedded store's UI."""
    return f"{_runs_page()}/{run_id}{_AS_TRAINING}"


def runs_link() -> str:
    """The address of the page of all runs."""
    return f"{_runs_page()}{_AS_TRAINING}"


def _runs_page() -> str:
    uri = tracking_uri()
    server = redact(uri) if uri.startswith("http") else mlflow_ui_url()
    return f"{server.rstrip('/')}/#/experiments/{experiment_id()}/runs"


class ExperimentNames(TypedDict):
    """The experiment of all runs."""

    name: str
    tags: dict[str, str]


class ModelNames(TypedDict):
    """How models are registered."""

    alias: str


class Names(TypedDict):
    """The content of ``mlflow/experiments.toml``."""

    experiment: ExperimentNames
    models: ModelNames


@cache
def settings() -> Names:
    """Read ``mlflow/experiments.toml``."""
    return cast(Names, tomllib.loads(experiments_file().read_text(encoding="utf-8")))
