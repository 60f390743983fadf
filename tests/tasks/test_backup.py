"""Databases are copied while others write to them, and put back without losing those before."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from tasks.backup import CONTENTS, back_up, databases, describe, restore

WRITER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60)
database.execute("PRAGMA journal_mode=WAL")
number = 0
while True:
    with database:
        database.execute("INSERT INTO rows VALUES (?, ?)", (number, "x" * 1000))
        database.execute("INSERT INTO pairs VALUES (?)", (number,))
    number += 1
    print(number, flush=True)
"""


def make(file: Path, revision: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        if revision:
            database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        database.execute("CREATE TABLE rows (number INTEGER, text TEXT)")
        database.execute("CREATE TABLE pairs (number INTEGER)")


def numbers(file: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(file)) as database:
        return [number for (number,) in database.execute(f"SELECT number FROM {table}")]


def insert(file: Path, number: int) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO rows VALUES (?, '')", (number,))


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The databases of a home, without servers elsewhere."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    files = home / ".prefect" / "prefect.db", home / "mlflow" / "mlflow.db"
    for file in files:
        make(file)
    return files


def test_a_copy_made_while_another_process_writes_has_only_complete_writes(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WRITER, str(own[0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            writer.stdout.readline()
        made = back_up(tmp_path / "elsewhere")
        writer.kill()
    copied = numbers(made / "prefect.db", "rows")
    assert copied == numbers(made / "prefect.db", "pairs") == list(range(len(copied)))
    assert len(copied) >= 50
    assert len(numbers(own[0], "rows")) >= len(copied)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    content = json.loads((made / CONTENTS).read_text("utf-8"))
    assert set(content["files"]) == {"prefect.db", "mlflow.db"}
    assert content["versions"].keys() == {"gptflow", "prefect", "mlflow"}
    assert [line.partition(":")[0] for line in describe(made)] == ["prefect.db", "mlflow.db"]


def test_what_is_replaced_is_kept(own: tuple[Path, Path]) -> None:
    insert(own[1], 1)
    made = back_up()
    insert(own[1], 2)
    restored = dict(restore(made))
    assert list(restored) == list(own)
    assert numbers(own[1], "rows") == [1]
    kept = restored[own[1]]
    assert kept is not None
    assert numbers(kept, "rows") == [1, 2]
    own[0].unlink()
    assert dict(restore(made))[own[0]] is None
    assert own[0].is_file()


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        ("bytes", "prefect.db was altered since it was written: use another backup"),
        ("contents", "is not a backup of gptflow: it has no backup.json"),
        ("names", "does not describe a backup of gptflow"),
        ("format", "has format 2, 1 is expected"),
    ],
)
def test_a_damaged_backup_changes_nothing(own: tuple[Path, Path], damage: str, error: str) -> None:
    made = back_up()
    contents = made / CONTENTS
    if damage == "bytes":
        insert(made / "prefect.db", 3)
    elif damage == "contents":
        contents.unlink()
    else:
        old, new = {"names": ("prefect.db", "../x.db"), "format": ('"format": 1', '"format": 2')}[
            damage
        ]
        contents.write_text(contents.read_text().replace(old, new))
    before = [file.read_bytes() for file in own]
    with pytest.raises(DataError, match=error):
        restore(made)
    assert [file.read_bytes() for file in own] == before
    assert not list(own[0].parent.glob("*.before-*"))


def test_a_backup_of_a_newer_version_is_refused(own: tuple[Path, Path]) -> None:
    own[0].unlink()
    make(own[0], "from2031")
    made = back_up()
    with pytest.raises(DataError, match=r"newer Prefect \(schema from2031\)"):
        restore(made)


def test_a_damaged_database_is_not_backed_up(own: tuple[Path, Path], home: Path) -> None:
    own[1].write_bytes(own[1].read_bytes()[:4096] + b"\xa5" * 4096)
    with pytest.raises(DataError, match=r"mlflow\.db cannot be copied"):
        back_up()
    assert list((home / "backups").iterdir()) == []


def test_databases_of_servers_elsewhere_are_not_ours(
    own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////srv/mine.db")
    assert [str(each.file) for each in databases()] == ["/srv/mine.db"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(DataError, match="there is no database of this home to back up"):
        back_up()


FAKE = """#!/bin/sh
echo "$PGPASSWORD" > "$OUT/password"
echo "$@" > "$OUT/arguments"
for each in "$@"; do case "$each" in --file=*) echo dump > "${each#--file=}";; esac; done
exit "$CODE"
"""


def test_postgresql_is_dumped_by_its_own_program_which_gets_no_password_as_argument(
    own: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql+asyncpg://me:p%40ss@127.0.0.1:5433/prefect"
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", address)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"pg_dump is not installed .* or copy Prefect's database"):
        back_up()
    (tmp_path / "pg_dump").write_text(FAKE)
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setenv("CODE", "0")
    made = back_up()
    assert (made / "prefect.dump").read_text() == "dump\n"
    assert (tmp_path / "password").read_text() == "p@ss\n"
    arguments = (tmp_path / "arguments").read_text()
    assert "--dbname=postgresql://me@127.0.0.1:5433/prefect\n" in arguments
    assert "p@ss" not in arguments
    with pytest.raises(DataError, match="put it back with pg_restore"):
        restore(made)
    monkeypatch.setenv("CODE", "3")
    with pytest.raises(DataError, match="pg_dump failed"):
        back_up()
