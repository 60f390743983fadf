"""The revisions of the installed packages are known without importing them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import prefect
import pytest
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config

from tasks.schemas import (
    MLFLOW,
    PREFECT,
    is_newer,
    is_older,
    newest_revision,
    revision_of,
    revisions,
)


def stamped(folder: Path, revision: str) -> Path:
    file = folder / "stamped.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        database.commit()
    return file


def test_every_revision_of_mlflow_is_known_with_its_newest() -> None:
    scripts = ScriptDirectory.from_config(_get_alembic_config("sqlite://"))
    assert set(revisions(MLFLOW)) == {each.revision for each in scripts.walk_revisions()}
    assert [newest_revision(MLFLOW)] == scripts.get_heads()


def test_every_revision_of_prefect_is_known_with_its_newest() -> None:
    folder = Path(prefect.__file__).parent / PREFECT.scripts
    scripts = ScriptDirectory(str(folder.parent), version_locations=[str(folder)])
    assert [newest_revision(PREFECT)] == scripts.get_heads()
    assert set(revisions(PREFECT)) == {each.revision for each in scripts.walk_revisions()}


@pytest.mark.parametrize("schema", [MLFLOW, PREFECT], ids=["MLflow", "Prefect"])
def test_a_database_is_of_this_version_an_earlier_or_a_later_one(
    tmp_path: Path, schema: object
) -> None:
    newest = newest_revision(schema)
    for revision, older, newer in (
        (newest, False, False),
        (revisions(schema)[newest][0], True, False),
        ("from2031", False, True),
    ):
        file = stamped(tmp_path, revision)
        assert revision_of(file) == revision
        assert (is_older(file, schema), is_newer(file, schema)) == (older, newer)
        file.unlink()


def test_what_is_no_database_yet_has_no_revision(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for name in ("missing.db", "empty.db"):
        assert revision_of(tmp_path / name) == ""
        assert not is_older(tmp_path / name, MLFLOW)
        assert not is_newer(tmp_path / name, MLFLOW)
    assert not (tmp_path / "missing.db").exists()
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        revision_of(tmp_path / "text.db")
