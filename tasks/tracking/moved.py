"""Let the embedded MLflow store follow its home: it records where artifacts are as absolute paths.

MLflow has no command for this, so the columns are changed in its database.
"""

import sqlite3
from contextlib import closing
from urllib.parse import quote

from tasks.paths import tracked_artifacts, tracking_database

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_FOLDER = "/mlflow/artifacts"  # of every home
_LOCK_SECONDS = 30.0


def follow_home() -> int:
    """Point what an earlier place of this home recorded to where the home is now.

    Returns:
        How many places were changed.
    """
    file, here = tracking_database(), tracked_artifacts()
    if not file.is_file():
        return 0
    address = f"file:{quote(str(file))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)) as database:
        found = database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        earlier = [
            place for (place,) in found if place and place.endswith(_FOLDER) and place != here
        ]
        with database:
            return sum(
                _replace(database, *place, old, here) for old in earlier for place in _PLACES
            )


def _replace(database: sqlite3.Connection, table: str, column: str, old: str, new: str) -> int:
    change = f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
    there = f"substr({column}, 1, ?) = ?"
    changed = database.execute(f"{change} WHERE {there}", (new, len(old) + 1, len(old), old))
    return changed.rowcount
