"""Check the file in which MLflow keeps runs, without importing MLflow."""

import importlib.metadata
import importlib.util
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gpt_core.errors import DataError

_LOCK_SECONDS = 10.0  # another run writes for less
_CHECKED_BYTES = 1 << 27  # of a database; a larger one is read too slowly


def check_database(file: Path) -> None:
    """Check a file of SQLite that MLflow uses.

    Raises:
        DataError: If it is a folder, damaged, locked, or of a newer MLflow or another program.
    """
    elsewhere = "move it away and a run starts a new one, or set MLFLOW_TRACKING_URI"
    if file.is_dir():
        raise DataError(f"{file} is a folder, not MLflow's database: {elsewhere}")
    if not file.is_file() or not file.stat().st_size:
        return
    try:
        version = _schema_version(file)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise DataError(
                f"{file} is locked by another program: end that and give the same command again"
            ) from error
        raise DataError(f"{file} cannot be used as MLflow's database: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{file} is damaged ({error}): restore MLflow's database from a copy, or {elsewhere}"
        ) from error
    if version is None:
        raise DataError(f"{file} is a database, but not MLflow's: {elsewhere}")
    known = _known_versions()
    if known and version not in known:
        raise DataError(
            f"{file} was written by a newer MLflow (schema {version}) than this one "
            f"({importlib.metadata.version('mlflow')}): install that, or {elsewhere}"
        )


def _schema_version(file: Path) -> str | None:
    """The version of MLflow's schema; empty if there is no table yet, None if it is not MLflow's.

    Raises:
        sqlite3.DatabaseError: If the file is damaged or locked.
    """
    address = f"file:{quote(str(file.resolve()))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)) as database:
        if file.stat().st_size < _CHECKED_BYTES:
            (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
        database.execute("BEGIN IMMEDIATE")
        database.rollback()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if "alembic_version" not in tables:
            return None if tables else ""
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else ""


def _known_versions() -> set[str]:
    """The versions of the schema that the installed MLflow can bring up to date, and no version."""
    found = importlib.util.find_spec("mlflow")
    folders = found.submodule_search_locations if found else None
    scripts = Path(next(iter(folders or ["."]))) / "store" / "db_migrations" / "versions"
    known = {file.name.partition("_")[0] for file in scripts.glob("[!_]*.py")}
    return known | {""} if known else known
