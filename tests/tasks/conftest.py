"""A home of its own for each test, and one real Prefect server for all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_ENABLED,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)

from tasks.tracking import FlowRecord, tracked_flow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder with the embedded MLflow store."""
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def prefect_home(home: Path, prefect_api: str) -> Iterator[Path]:
    """A project folder whose tasks report to the server and keep their results there."""
    updates = {
        PREFECT_API_URL: prefect_api,
        PREFECT_API_AUTH_STRING: os.environ["PREFECT_API_AUTH_STRING"],
        PREFECT_RESULTS_LOCAL_STORAGE_PATH: home / ".prefect" / "results",
        PREFECT_LOGGING_TO_API_ENABLED: False,
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
    }
    with temporary_settings(updates=updates):
        yield home


@pytest.fixture
def record(home: Path) -> Iterator[FlowRecord]:
    """The MLflow run of a flow."""
    from gpt_core.config import RunConfig

    with tracked_flow("prepare", RunConfig(name="small"), {"prefect.flow_run": "f1"}) as found:
        yield found


@pytest.fixture
def address(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where nodes of a home of their own meet; they look more often than usual."""
    from meeting import free_address

    from tasks import rendezvous

    monkeypatch.setattr(rendezvous, "_POLL_SECONDS", 0.05)
    return free_address()
