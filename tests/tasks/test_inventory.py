"""The artifacts of a home, with their sizes: what has a second name is not freed."""

import os
from pathlib import Path

from gpt_core.artifact import new_artifact
from tasks.in_use import mark_used
from tasks.inventory import bytes_freed, list_items, size_of


def make(path: Path, made: str, **info: object) -> None:
    with new_artifact(path, kind=made) as draft:
        (draft.directory / "content").write_bytes(b"x" * 5000)
        draft.info.update(info)


def test_every_artifact_is_listed_but_sources_and_what_is_unfinished(home: Path) -> None:
    data = home / "data"
    make(data / "raw" / "mine-1", "raw")
    make(data / "shards" / "mine-0123", "shards")
    make(data / "checkpoints" / "mine-45" / "step-00000010", "checkpoint", kind="pretrained")
    make(data / "checkpoints" / "mine-67", "checkpoint", kind="classifier")
    make(data / "shards" / ".mine-89.abcd1234.part", "shards")
    (data / "shards" / "mine-10").mkdir()
    (data / "reports").mkdir()
    (data / "reports" / "compare-a-b.png").touch()
    found = {item.name: item.group for item in list_items()}
    assert found == {
        "mine-0123": "shards mine",
        "mine-45/step-00000010": "pretrained mine",
        "mine-67": "classifier mine",
    }


def test_the_last_use_counts_not_only_the_time_it_was_made(home: Path) -> None:
    make(home / "data" / "shards" / "mine-1", "shards")
    path = home / "data" / "shards" / "mine-1"
    for each in (path / "manifest.json", path):
        os.utime(each, (1000.0, 1000.0))
    (item,) = list_items()
    assert item.used == 1000.0
    with new_artifact(home / "other", kind="shards") as draft:
        pass
    mark_used(type(draft.artifact)(kind="shards", path=str(path), fingerprint=""))
    (item,) = list_items()
    assert item.used > 1000.0


def test_only_bytes_without_another_name_are_freed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "weights").write_bytes(b"w" * 300)
    (tmp_path / "one" / "state").write_bytes(b"s" * 70)
    os.link(tmp_path / "one" / "weights", tmp_path / "two" / "weights")
    assert size_of(tmp_path / "one") == 370
    assert bytes_freed([tmp_path / "one"]) == 70
    assert bytes_freed([tmp_path / "one", tmp_path / "two"]) == 370
