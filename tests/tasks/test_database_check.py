"""Files that are MLflow's database, and files that are not."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from gpt_core.errors import DataError
from tasks import database_check
from tasks.database_check import check_database


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database that MLflow made."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file.read_bytes()


@pytest.fixture
def file(made: bytes, tmp_path: Path) -> Path:
    file = tmp_path / "mlflow.db"
    file.write_bytes(made)
    return file


@pytest.fixture
def open_database(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file)) as database:
        yield database


def test_mlflows_own_file_is_accepted_and_not_changed(file: Path, made: bytes) -> None:
    check_database(file)
    assert file.read_bytes() == made
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_file_that_is_missing_or_empty_is_for_mlflow_to_make(tmp_path: Path) -> None:
    check_database(tmp_path / "missing.db")
    (tmp_path / "empty.db").touch()
    check_database(tmp_path / "empty.db")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder, not MLflow's database"):
        check_database(tmp_path)


@pytest.mark.parametrize("begin", [0, 20, 100, 4096])
def test_damage_is_refused(file: Path, made: bytes, begin: int) -> None:
    file.write_bytes(made[:begin] + b"\xa5" * 3000 + made[begin + 3000 :])
    with pytest.raises(DataError, match=r"mlflow\.db (is damaged|cannot be used)"):
        check_database(file)


def test_half_a_file_is_refused(file: Path, made: bytes) -> None:
    file.write_bytes(made[: len(made) // 2])
    with pytest.raises(DataError, match="is damaged"):
        check_database(file)


def test_a_lock_that_stays_is_refused(
    file: Path, open_database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_check, "_LOCK_SECONDS", 0.1)
    open_database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DataError, match="is locked by another program"):
        check_database(file)
    open_database.rollback()
    check_database(file)


def test_a_newer_schema_is_refused(file: Path, open_database: sqlite3.Connection) -> None:
    open_database.execute("UPDATE alembic_version SET version_num = 'from2031'")
    open_database.commit()
    with pytest.raises(DataError, match=r"newer MLflow \(schema from2031\)"):
        check_database(file)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(DataError, match="is a database, but not MLflow's"):
        check_database(tmp_path / "other.db")


def test_every_version_of_the_installed_mlflow_is_known() -> None:
    folder = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    texts = [file.read_text("utf-8") for file in folder.glob("[!_]*.py")]
    declared = {
        match[1] for text in texts if (match := re.search(r'^revision = "(\w+)"', text, re.M))
    }
    assert len(declared) > 50
    assert declared | {""} == database_check._known_versions()
