"""Databases of earlier versions are upgraded after a backup; of later ones nothing is changed."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from mlflow import MlflowClient
from mlflow.store.db.utils import _get_alembic_config

from gpt_core.errors import DataError
from tasks.paths import prefect_database, sqlite_address, tracking_database, tracking_store
from tasks.schemas import MLFLOW, PREFECT, newest_revision, revision_of, revisions
from tasks.up import nothing_runs
from tasks.upgrades import upgrade_stores


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home whose servers are its own."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    return home


def make_older_mlflow() -> str:
    """A database of MLflow with the schema before the newest, by MLflow's own scripts."""
    tracking_database().parent.mkdir()
    MlflowClient(tracking_store()).create_experiment("mine")
    command.downgrade(_get_alembic_config(tracking_store()), "-1")
    return revision_of(tracking_database())


def test_mlflows_database_is_upgraded_after_a_backup(own: Path) -> None:
    assert upgrade_stores() == []
    earlier = make_older_mlflow()
    assert (earlier,) == revisions(MLFLOW)[newest_revision(MLFLOW)]
    (sentence,) = upgrade_stores()
    saved = next((own / "backups").iterdir())
    assert sentence == (
        f"MLflow's database had schema {earlier} of an earlier version and was upgraded; the one "
        f"before is in {saved}"
    )
    assert revision_of(tracking_database()) == newest_revision(MLFLOW)
    assert revision_of(saved / "mlflow.db") == earlier
    names = {each.name for each in MlflowClient(tracking_store()).search_experiments()}
    assert names == {"Default", "mine"}
    assert upgrade_stores() == []


def test_a_command_waits_for_the_end_of_the_servers_of_the_earlier_version(own: Path) -> None:
    make_older_mlflow()
    with nothing_runs(), pytest.raises(DataError, match=r"stop it with gptflow down"):
        upgrade_stores()
    assert not (own / "backups").exists()


@pytest.mark.long
def test_prefects_database_is_upgraded_after_a_backup(own: Path) -> None:
    prefect_database().parent.mkdir()
    address = sqlite_address(prefect_database(), "sqlite+aiosqlite")
    for change in (["upgrade"], ["downgrade", "-r", "-1"]):
        subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", *change, "--yes"],
            env={
                **os.environ,
                "PREFECT_HOME": str(own / ".prefect"),
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": address,
            },
            check=True, capture_output=True,
        )  # fmt: skip
    earlier = revision_of(prefect_database())
    assert (earlier,) == revisions(PREFECT)[newest_revision(PREFECT)]
    (sentence,) = upgrade_stores()
    assert sentence.startswith(f"Prefect's database had schema {earlier} of an earlier version")
    assert revision_of(prefect_database()) == newest_revision(PREFECT)


def test_a_later_or_damaged_database_is_one_sentence(own: Path) -> None:
    prefect_database().parent.mkdir()
    with closing(sqlite3.connect(prefect_database())) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('from2031')")
    with pytest.raises(DataError, match=r"newer Prefect \(schema from2031\) than this one"):
        upgrade_stores()
    prefect_database().write_text("no database" * 100)
    with pytest.raises(DataError, match=r"cannot be read as Prefect's database .* gptflow restore"):
        upgrade_stores()
