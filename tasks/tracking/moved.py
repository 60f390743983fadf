"""Let the embedded MLflow store follow its home: it records where artifacts are as absolute paths.

MLflow has no command for this, so the columns are changed in its database.
"""

from urllib.parse import quote

import sqlalchemy
from sqlalchemy import ColumnClause, Connection, Update, column, func, literal, table
from sqlalchemy.pool import NullPool

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
    address = f"sqlite:///file:{quote(str(file))}?mode=rw&uri=true"
    engine = sqlalchemy.create_engine(
        address, poolclass=NullPool, connect_args={"timeout": _LOCK_SECONDS}
    )
    with engine.begin() as database:
        return sum(
            database.execute(_change(*place, earlier, here)).rowcount
            for earlier in _earlier_places(database, here)
            for place in _PLACES
        )


def _earlier_places(database: Connection, here: str) -> list[str]:
    location: ColumnClause[str] = column("artifact_location")
    found = database.scalars(
        sqlalchemy.select(location).distinct().select_from(table("experiments"))
    )
    return [place for place in found if place and place.endswith(_FOLDER) and place != here]


def _change(table_name: str, column_name: str, old: str, new: str) -> Update:
    place: ColumnClause[str] = column(column_name)
    changed = literal(new).concat(func.substr(place, len(old) + 1))
    return (
        sqlalchemy.update(table(table_name, place))
        .where(func.substr(place, 1, len(old)) == old)
        .values({place: changed})
    )
