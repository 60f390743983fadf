"""Finished parts are used again if everything fits, and made again otherwise."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from gpt_core import finished_parts
from gpt_core.artifact import new_artifact
from gpt_core.engine import run_serially
from gpt_core.errors import DataError
from gpt_core.finished_parts import (
    Finished,
    age_of_kept,
    is_superseded,
    list_kept,
    open_parts,
    remove_kept,
)


@dataclass(frozen=True)
class Words:
    """A part with a text."""

    text: str
    folder: Path


@dataclass
class Report:
    """Examples of a part."""

    examples: list[str]


@dataclass
class Counted:
    """The result of a part."""

    n: int = 0
    reports: dict[str, Report] = field(default_factory=dict)


CALLS: list[str] = []


def write_words(part: Words) -> Counted:
    """Write a text; ``bad`` is an error."""
    CALLS.append(part.text)
    if part.text == "bad":
        raise DataError("bad is not a text")
    (part.folder / "words.txt").write_text(part.text, encoding="utf-8")
    return Counted(len(part.text), reports_of(part.text))


def reports_of(text: str) -> dict[str, Report]:
    """Reports whose order is not that of their names."""
    return {"z": Report([]), "http://me:secret@host": Report([text])}


def run(out: Path, texts: list[str], keys: list[object] | None = None) -> list[str]:
    """Make an artifact of texts; the texts for which the function was called."""
    CALLS.clear()
    with open_parts(out, keep=True) as store, new_artifact(out, kind="report") as draft:
        parts = [Words(text, store.folder("words", n)) for n, text in enumerate(texts)]
        done: list[Counted] = []
        inputs = texts if keys is None else keys
        made: list[Finished[Counted]] = store.run(
            run_serially, write_words, parts, inputs, Counted, done=done.append
        )
        for number, (part, text) in enumerate(zip(made, texts, strict=True)):
            assert part.result == Counted(len(text), reports_of(text))
            assert list(part.result.reports) == list(reports_of(text)), "in the same order"
            part.publish("words.txt", draft.directory / f"{number}.txt", draft)
        assert done == [part.result for part in made]
    return list(CALLS)


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """The directory of an artifact, of which two parts are finished."""
    out = tmp_path / "out"
    with pytest.raises(DataError, match="bad is not a text"):
        run(out, ["one", "two", "bad"])
    assert [path.name for path in tmp_path.iterdir()] == [".out.parts"]
    return out


def test_finished_parts_are_not_made_again(interrupted: Path, tmp_path: Path) -> None:
    assert run(interrupted, ["one", "two", "three"]) == ["three"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [(interrupted / f"{n}.txt").read_text("utf-8") for n in range(3)] == [
        "one", "two", "three",
    ]  # fmt: skip
    undisturbed = tmp_path / "undisturbed"
    assert run(undisturbed, ["one", "two", "three"]) == ["one", "two", "three"]
    files = [(each / "manifest.json").read_bytes() for each in (interrupted, undisturbed)]
    assert files[0] == files[1]


def test_a_part_of_another_input_is_made_again(interrupted: Path) -> None:
    keys: list[object] = ["one", "another", "three"]
    assert run(interrupted, ["one", "two", "three"], keys) == ["two", "three"]


@pytest.mark.parametrize("damage", ["byte", "size", "missing", "record", "not JSON"])
def test_a_damaged_part_is_made_again(interrupted: Path, damage: str) -> None:
    folder = interrupted.with_name(".out.parts") / "words" / "part-00001"
    file = folder / ("words.txt" if damage in ("byte", "size", "missing") else "part.json")
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(
            {
                "byte": bytes([content[0] ^ 1, *content[1:]]),
                "size": content + b"x",
                "record": content.replace(b'"n": 3', b'"n": 4'),
                "not JSON": content[:-5],
            }[damage]
        )
    assert run(interrupted, ["one", "two", "three"]) == ["two", "three"]


def test_parts_of_other_code_are_made_again(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished_parts, "code_version", lambda: "other")
    assert run(interrupted, ["one", "two"]) == ["one", "two"]


def test_a_second_process_uses_parts_of_its_own(interrupted: Path) -> None:
    kept = interrupted.with_name(".out.parts")
    with FileLock(kept / "lock"):
        assert list_kept(interrupted.parent) == []
        assert run(interrupted, ["one", "two"]) == ["one", "two"]
        remove_kept(kept)
    assert len(list(kept.glob("*/*/part.json"))) == 2, "those of the first one"
    assert is_superseded(kept)


def test_what_an_interrupted_stage_keeps_is_listed_and_removed(interrupted: Path) -> None:
    kept = interrupted.with_name(".out.parts")
    assert list_kept(interrupted.parent) == [kept]
    assert list_kept(interrupted / "not there") == []
    assert not is_superseded(kept)
    for path in (kept, *kept.glob("*")):
        os.utime(path, (0.0, 0.0))
    assert age_of_kept(kept) > 1e9
    remove_kept(kept)
    assert not kept.exists()


def test_a_stage_without_finished_parts_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bad"):
        run(tmp_path / "out", ["bad", "one"])
    assert list(tmp_path.iterdir()) == []


def test_files_are_moved_where_there_are_no_links(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert run(interrupted, ["one", "two"]) == []
    assert (interrupted / "1.txt").read_text("utf-8") == "two"
