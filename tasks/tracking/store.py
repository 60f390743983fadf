"""Where MLflow keeps its records, and how to reach it."""

import fcntl
import logging
import os
import tomllib
from functools import cache
from typing import Any

import mlflow
from mlflow import MlflowClient

from tasks.paths import experiments_file, tracking_dir


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or the embedded SQLite store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{tracking_dir() / 'mlflow.db'}"


@cache
def client_for(uri: str) -> MlflowClient:
    """A client of the store, whose tables exist.

    Several processes may open a fresh SQLite store at once, so it is opened behind a lock.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri)
    if not uri.startswith("sqlite"):
        return MlflowClient(uri)
    tracking_dir().mkdir(parents=True, exist_ok=True)
    with (tracking_dir() / "artifacts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def client() -> MlflowClient:
    """A client of this project's store."""
    return client_for(tracking_uri())


def experiment_id() -> str:
    """The experiment that runs go into, made when it is not there."""
    name = settings()["experiment"]["name"]
    found = client().get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = tracking_uri().startswith("sqlite")
    place = str(tracking_dir() / "artifacts") if local else None
    return str(client().create_experiment(name, artifact_location=place))


@cache
def settings() -> dict[str, Any]:
    """``mlflow/experiments.toml``."""
    return tomllib.loads(experiments_file().read_text(encoding="utf-8"))
