"""The schemas of the databases of Prefect and MLflow: which a file has, which this version makes.

Both keep the revision of their schema in the table ``alembic_version``, and a script for each
revision in their package. Neither is imported here, as that takes seconds.
"""

import importlib.util
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

_LOCK_SECONDS = 10.0
_REVISION = re.compile(r"^revision(?:: *\w+)? *= *[\"'](\w+)[\"']", re.MULTILINE)
_BEFORE = re.compile(r"^down_revision(?:: *[^=\n]+)? *= *(.*)$", re.MULTILINE)
_NAME = re.compile(r"[\"'](\w+)[\"']")


@dataclass(frozen=True, slots=True)
class Schema:
    """Where a package keeps the scripts of its database's revisions."""

    name: str
    """The program's name."""

    package: str
    scripts: str


MLFLOW = Schema("MLflow", "mlflow", "store/db_migrations/versions")
PREFECT = Schema("Prefect", "prefect", "server/database/_migrations/versions/sqlite")


def revision_of(file: Path) -> str:
    """The revision of a database's schema; empty if the file is missing or has none.

    Raises:
        sqlite3.DatabaseError: If it is damaged or locked.
    """
    if not file.is_file() or not file.stat().st_size:
        return ""
    address = f"file:{quote(str(file.resolve()))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if "alembic_version" not in tables:
            return ""
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else ""


@cache
def revisions(schema: Schema) -> dict[str, tuple[str, ...]]:
    """Every revision that the installed package knows, with those before it."""
    found = importlib.util.find_spec(schema.package)
    folders = found.submodule_search_locations if found else None
    folder = Path(next(iter(folders or ["."]))) / schema.scripts
    scripts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("[!_]*.py"))]
    known = {}
    for text in scripts:
        revision, before = _REVISION.search(text), _BEFORE.search(text)
        if revision is not None:
            known[revision[1]] = tuple(_NAME.findall(before[1])) if before else ()
    return known


def newest_revision(schema: Schema) -> str:
    """The revision that the installed package makes; empty if it is not installed."""
    known = revisions(schema)
    earlier = {name for before in known.values() for name in before}
    return next((name for name in known if name not in earlier), "")


def is_older(file: Path, schema: Schema) -> bool:
    """Whether a database has to be brought up to date before it can be used.

    Raises:
        sqlite3.DatabaseError: If it is damaged or locked.
    """
    revision = revision_of(file)
    return revision in revisions(schema) and revision != newest_revision(schema)


def is_newer(file: Path, schema: Schema) -> bool:
    """Whether a later version of the package wrote a database.

    Raises:
        sqlite3.DatabaseError: If it is damaged or locked.
    """
    revision = revision_of(file)
    return bool(revision and revisions(schema)) and revision not in revisions(schema)
