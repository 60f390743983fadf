"""A broken installation or home is found, with what to do; a good one is said to be good."""

import importlib.metadata
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tasks import diagnosis, servers
from tasks.diagnosis import diagnose
from tasks.paths import prefect_database, tracking_database, unsent_dir
from tasks.processes import mark


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home whose servers are its own, with a port that nobody uses."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setattr(diagnosis, "PREFECT_PORT", probe.getsockname()[1])
    return home


def found(state: str) -> dict[str, str]:
    return {each.name: each.text for each in diagnose() if each.state == state}


def test_an_empty_home_is_not_broken_and_stays_empty(own: Path) -> None:
    assert found("broken") == {}
    assert found("good") == {"versions": "of the packages are those that gptflow needs"}
    assert found("note")["store of Prefect"] == "none yet: a run makes it"
    assert list(own.iterdir()) == []


def test_a_version_with_which_nothing_is_scheduled_is_found(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "2.1.9" if name == "sqlalchemy" else installed(name),
    )
    assert found("broken")["versions"] == (
        "sqlalchemy 2.1.9 is installed, gptflow needs <2.1,>=2.0: make setup installs the right one"
    )


def test_databases_of_later_versions_and_damaged_ones_are_found(own: Path) -> None:
    prefect_database().parent.mkdir()
    with closing(sqlite3.connect(prefect_database())) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('from2031')")
    tracking_database().parent.mkdir()
    tracking_database().write_text("no database" * 100)
    broken = found("broken")
    assert "newer Prefect (schema from2031)" in broken["store of Prefect"]
    assert "mlflow.db is damaged" in broken["store of MLflow"]


def test_what_a_killed_up_left_is_found(own: Path) -> None:
    (own / ".prefect").mkdir()
    environment = {**os.environ, **mark("worker")}
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as left:
        assert left.stdout is not None
        left.stdout.readline()
        assert found("broken")["processes"] == (
            f"{left.pid} are left of a killed gptflow up: gptflow down ends them"
        )
        left.kill()
    assert "processes" not in found("broken")


def test_a_server_that_hangs_and_one_in_its_place_are_found(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(diagnosis, "PREFECT_PORT", port)
        assert f"{port} is used by another program" in found("note")["port"]
        hanging = servers.Server("prefect", f"http://127.0.0.1:{port}/api", os.getpid())
        monkeypatch.setattr(servers.Server, "is_alive", lambda self: True)
        monkeypatch.setattr(servers.Server, "answers", lambda self: False)
        (own / ".prefect").mkdir()
        hanging.record()
        assert f"process {os.getpid()} does not answer" in found("broken")["prefect server"]


def test_metrics_that_wait_and_damaged_ones_are_counted(own: Path) -> None:
    unsent_dir().mkdir(parents=True)
    for name in ("a.json", "b.json", "c.damaged"):
        (unsent_dir() / name).touch()
    assert found("note")["metrics"] == "2 files wait for MLflow: the next run sends them"
    assert found("broken")["metrics"] == f"1 files in {unsent_dir()} are damaged"
