"""Finished files outlive a crash; temporaries of killed processes are removed, others are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from gpt_core import durable
from gpt_core.durable import (
    make_directory,
    remove_abandoned,
    remove_directory,
    replace_directory,
    temporary_directory,
    temporary_file,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from gpt_core.durable import temporary_directory, temporary_file
with temporary_file(Path(sys.argv[1]) / "file"), temporary_directory(Path(sys.argv[1]) / "folder"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_temporaries_of_a_killed_process_are_removed_and_those_in_use_stay(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(names(tmp_path)) == 2
    (tmp_path / ".notes").touch()
    with temporary_file(tmp_path / "other") as file, temporary_directory(tmp_path / "x") as folder:
        remove_abandoned(tmp_path)
        assert names(tmp_path) == sorted([".notes", file.name, folder.name])
    assert names(tmp_path) == [".notes"]


def test_a_writer_removes_what_a_killed_one_of_the_same_name_left(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with temporary_file(tmp_path / "file") as file:
        assert [name for name in names(tmp_path) if name.startswith(".file.")] == [file.name]
    with temporary_directory(tmp_path / "folder"):
        pass
    assert names(tmp_path) == []


def test_a_temporary_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, removed = durable._lock, []

    def late(handle: int, *, wait: bool) -> bool:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        return lock(handle, wait=wait)

    monkeypatch.setattr(durable, "_lock", late)
    with temporary_file(tmp_path / "file") as file:
        assert file.is_file()
        assert file not in removed


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_directory_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(durable, "_exchange", lambda *paths: False)
    new, path = tmp_path / "new.part", tmp_path / "path"
    for folder in (new, path):
        folder.mkdir()
        (folder / folder.name).touch()
    replace_directory(new, path)
    assert names(tmp_path) == ["new.part", "path"]
    assert (names(path), names(new)) == (["new.part"], ["path"])


def test_new_parents_are_on_disk_with_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_directory", synced.append)
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert sorted(synced) == [tmp_path, tmp_path / "a"]


def test_a_directory_is_hidden_before_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    seen: list[list[str]] = []
    monkeypatch.setattr(durable, "sync_directory", lambda path: seen.append(names(path)))
    remove_directory(tmp_path / "folder")
    assert seen == [[".folder.old"]]
    assert names(tmp_path) == []
