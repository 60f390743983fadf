"""Bring the databases of an earlier Prefect or MLflow up to date, after a backup."""

import importlib.metadata
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.redaction import redact
from tasks.backup import Database, back_up, databases
from tasks.paths import sqlite_address
from tasks.schemas import MLFLOW, is_newer, is_older, newest_revision, revision_of
from tasks.up import nothing_runs

_BACKUP = "before-upgrade"


def upgrade_stores() -> list[str]:
    """Upgrade the databases that an earlier version wrote.

    Returns:
        A sentence for each that was upgraded.

    Raises:
        DataError: If one is damaged, of a later version, or cannot be upgraded; if servers of the
            earlier version run.
    """
    if not _older():
        return []
    with nothing_runs():
        older = _older()  # another process may have upgraded them
        saved = back_up(name=_BACKUP) if older else Path()
        return [_upgrade(database, saved) for database in older]


def _older() -> list[Database]:
    return [each for each in databases() if each.file is not None and _is_older(each, each.file)]


def _is_older(database: Database, file: Path) -> bool:
    require_readable(database, file)
    return is_older(file, database.schema)


def require_readable(database: Database, file: Path) -> None:
    """Check that a database is not damaged, nor of a later version.

    Raises:
        DataError: If it is.
    """
    schema = database.schema
    try:
        if is_newer(file, schema):
            raise DataError(
                f"{file} was written by a newer {schema.name} (schema {revision_of(file)}) than "
                f"this one ({importlib.metadata.version(schema.package)}): install that, or move "
                "the file away and a run starts a new one"
            )
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{file} cannot be read as {schema.name}'s database ({error}): put a copy back with "
            "gptflow restore, or move the file away and a run starts a new one"
        ) from error


def _upgrade(database: Database, saved: Path) -> str:
    file, schema = database.file, database.schema
    assert file is not None
    before = revision_of(file)
    if schema == MLFLOW:
        command, variables = ["mlflow", "db", "upgrade", sqlite_address(file)], {}
    else:
        address = sqlite_address(file, "sqlite+aiosqlite")
        command = ["prefect", "server", "database", "upgrade", "--yes"]
        variables = {
            "PREFECT_HOME": str(file.parent),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": address,
        }
    done = subprocess.run(
        [sys.executable, "-m", *command], env={**os.environ, **variables}, cwd=file.parent,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if revision_of(file) != newest_revision(schema):
        reason = redact((done.stderr or done.stdout).strip())[-300:]
        raise DataError(
            f"{file} could not be upgraded from schema {before}: {reason}: gptflow restore {saved} "
            "puts the copy from before back"
        )
    return (
        f"{schema.name}'s database had schema {before} of an earlier version and was upgraded; "
        f"the one before is in {saved}"
    )
