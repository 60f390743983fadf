"""Copies of the databases of Prefect and MLflow, made while servers run, and put back later.

A backup is a folder with a copy of each database and ``backup.json``, written last: versions,
schemas and SHA-256. The folder holds secrets of Prefect's blocks, so only its owner can read it.
"""

import importlib.metadata
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from gpt_core import __version__
from gpt_core.durable import sync_file
from gpt_core.errors import DataError
from gpt_core.files import atomic_directory, disk_errors, read_json, sha256_file, write_json
from gpt_core.redaction import redact
from tasks.environment import database_addresses, is_server, served_store
from tasks.paths import backups_dir, prefect_database, tracking_database, tracking_store
from tasks.schemas import MLFLOW, PREFECT, Schema, is_newer, revision_of

CONTENTS = "backup.json"
_FORMAT = 1
_PAGES = 4096  # copied at once; writers wait for no longer than that takes
_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Database:
    """A database of this home, or one on a server."""

    schema: Schema
    file: Path | None
    """None for one on a server."""

    address: str = ""
    """The address of one on a server, with its password."""

    @property
    def copy(self) -> str:
        """The name of its copy in a backup."""
        return f"{self.schema.package}.{'db' if self.file else 'dump'}"


def databases() -> list[Database]:
    """The databases that the servers of this home use; none where these are elsewhere."""
    found = []
    if not os.environ.get("PREFECT_API_URL"):
        given = next(iter(database_addresses().values()), "")
        found.append(_database(PREFECT, given, prefect_database()))
    if not is_server(os.environ.get("MLFLOW_TRACKING_URI", "")):
        given = "" if served_store() == tracking_store() else served_store()
        found.append(_database(MLFLOW, given, tracking_database()))
    return found


def _database(schema: Schema, address: str, own: Path) -> Database:
    if not address:
        return Database(schema, own)
    parts = urlsplit(address)
    if parts.scheme.partition("+")[0] == "sqlite":
        return Database(schema, Path(unquote(parts.path.removeprefix("/"))))
    return Database(schema, None, address)


def back_up(folder: Path | None = None, name: str = "gptflow") -> Path:
    """Copy the databases into a new folder; servers and runs may be running meanwhile.

    Args:
        folder: Where the new folder is made; ``backups`` in the home if it is None.
        name: The beginning of its name; the time follows.

    Raises:
        DataError: If there is no database, or one cannot be copied.
    """
    there = [each for each in databases() if each.file is None or each.file.is_file()]
    if not there:
        raise DataError("there is no database of this home to back up: gptflow run makes them")
    now = datetime.now(tz=UTC)
    target = (folder or backups_dir()) / f"{name}-{now:%Y%m%d-%H%M%S}"
    with disk_errors(target), atomic_directory(target) as draft:
        files = {}
        for each in there:
            copy = draft / each.copy
            _dump(each, copy) if each.file is None else copy_database(each.file, copy)
            files[each.copy] = {
                "bytes": copy.stat().st_size,
                "sha256": sha256_file(copy),
                "schema": revision_of(copy) if each.file else "",
            }
        versions = {
            "gptflow": __version__,
            **{each: importlib.metadata.version(each) for each in ("prefect", "mlflow")},
        }
        content = {"format": _FORMAT, "made": now.isoformat(timespec="seconds")}
        write_json(draft / CONTENTS, {**content, "versions": versions, "files": files})
    target.chmod(0o700)
    return target


def copy_database(source: Path, target: Path) -> None:
    """Copy a database of SQLite that others may write to, and check the copy.

    Raises:
        DataError: If it cannot be read, or is damaged.
    """
    target.touch(mode=0o600)
    address = f"file:{quote(str(source.resolve()))}?mode=rw"
    try:
        with (
            closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)) as found,
            closing(sqlite3.connect(target)) as copy,
        ):
            found.backup(copy, pages=_PAGES)
            _require_intact(copy)
    except sqlite3.DatabaseError as error:
        raise DataError(f"{source} cannot be copied: {error}") from error
    sync_file(target)


def _require_intact(database: sqlite3.Connection) -> None:
    (state,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if state != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {state}")


def _dump(database: Database, target: Path) -> None:
    """Copy a database of PostgreSQL with its own program; the password is no argument.

    Raises:
        DataError: If that program is missing, or fails.
    """
    scheme = urlsplit(database.address).scheme.partition("+")[0]
    advice = f"copy {database.schema.name}'s database {redact(database.address)} yourself"
    if scheme != "postgresql":
        raise DataError(f"gptflow backs up SQLite and PostgreSQL only: {advice}")
    program = shutil.which("pg_dump")
    if program is None:
        raise DataError(
            f"pg_dump is not installed (package postgresql-client): install it, or {advice}"
        )
    address, password = _without_password(database.address)
    target.touch(mode=0o600)
    done = subprocess.run(
        [program, "--format=custom", "--no-password", f"--file={target}", f"--dbname={address}"],
        env={**os.environ, **({"PGPASSWORD": password} if password else {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DataError(f"pg_dump failed: {redact(done.stderr.strip())[-400:]}")


def _without_password(address: str) -> tuple[str, str]:
    """The address of a database as PostgreSQL's programs read it, and its password."""
    parts = urlsplit(address)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    place = f"{user}@{host}" if user else host
    return urlunsplit(("postgresql", place, parts.path, "", "")), unquote(password)


def restore(folder: Path) -> list[tuple[Path, Path | None]]:
    """Put the databases of a backup back; call it while nothing runs.

    Args:
        folder: One that ``back_up`` made.

    Returns:
        Each database's file, and where the one before is kept, if there was one.

    Raises:
        DataError: If the folder is no backup, is damaged, or is of a newer version.
    """
    files = _read_contents(folder)
    targets = {each.copy: each for each in databases()}
    chosen = {name: _target(folder, name, targets) for name in files}
    for name, database in chosen.items():
        _check(folder / name, files[name], database.schema)
    now = f"{datetime.now(tz=UTC):%Y%m%d-%H%M%S}"
    return list(_put_back(folder, chosen, now))


def _put_back(
    folder: Path, chosen: dict[str, Database], now: str
) -> Iterator[tuple[Path, Path | None]]:
    for name, database in chosen.items():
        assert database.file is not None
        file = database.file
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{file.name}.new-{now}")
        with disk_errors(file):
            copy_database(folder / name, new)
            kept = _set_aside(file, f"before-{now}")
            new.replace(file)
        yield file, kept


def _set_aside(file: Path, suffix: str) -> Path | None:
    """Rename a database with its logs, which hold what was not yet written into it."""
    kept = file.with_name(f"{file.name}.{suffix}")
    if not file.exists():
        return None
    for log in ("-wal", "-shm"):
        written = file.with_name(file.name + log)
        if written.exists():
            written.rename(kept.with_name(kept.name + log))
    return file.rename(kept)


def _target(folder: Path, name: str, targets: dict[str, Database]) -> Database:
    if name.endswith(".dump"):
        raise DataError(
            f"{folder / name} is of PostgreSQL: put it back with pg_restore --clean --dbname=..."
        )
    if name not in targets:
        raise DataError(
            f"{folder / name} is a file of SQLite, but this home uses another database for that: "
            "unset PREFECT_API_URL, MLFLOW_TRACKING_URI and the variables of databases first"
        )
    return targets[name]


def _check(file: Path, recorded: dict[str, object], schema: Schema) -> None:
    """Check that a copy is what was written, and that this version can read it."""
    if not file.is_file() or sha256_file(file) != recorded.get("sha256"):
        raise DataError(f"{file} was altered since it was written: use another backup")
    try:
        if is_newer(file, schema):
            raise DataError(
                f"{file} was written by a newer {schema.name} (schema {revision_of(file)}) than "
                f"this one ({importlib.metadata.version(schema.package)}): install that first"
            )
    except sqlite3.DatabaseError as error:
        raise DataError(f"{file} is damaged ({error}): use another backup") from error


def _read_contents(folder: Path) -> dict[str, dict[str, object]]:
    file = folder / CONTENTS
    if not file.is_file():
        raise DataError(f"{folder} is not a backup of gptflow: it has no {CONTENTS}")
    content = read_json(file)
    try:
        if content["format"] != _FORMAT:
            raise DataError(f"{file} has format {content['format']}, {_FORMAT} is expected")
        known = {
            f"{schema.package}.{end}" for schema in (MLFLOW, PREFECT) for end in ("db", "dump")
        }
        files = {str(name): dict(entry) for name, entry in content["files"].items()}
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{file} does not describe a backup of gptflow") from error
    if not files or not files.keys() <= known:
        raise DataError(f"{file} does not describe a backup of gptflow")
    return files


def describe(folder: Path) -> list[str]:
    """A line for each copy in a backup: its name, size and schema."""
    content = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    return [
        f"{name}: {entry['bytes']:,} bytes"
        + (f", schema {entry['schema']}" if entry["schema"] else "")
        for name, entry in content["files"].items()
    ]
