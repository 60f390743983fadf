"""A file is either whole and in its place or not there at all."""

from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.files import (
    atomic_directory,
    atomic_write,
    canonical_json,
    read_json,
    sha256_file,
    write_json,
)


def test_a_finished_write_replaces_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.txt"
    for text in ("first", "سلام\n"):
        with atomic_write(file, "w") as opened:
            opened.write(text)
    assert file.read_bytes() == "سلام\n".encode()
    assert [path.name for path in file.parent.iterdir()] == ["file.txt"]


def test_a_broken_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_write(file, "w") as opened:
        opened.write("new")
        raise RuntimeError("stop")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), atomic_directory(out) as directory:
        (directory / "half").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    for text in ("one", "two"):
        with atomic_directory(out) as directory:
            (directory / "file").write_text(text)
            assert not (out / "file").exists() or (out / "file").read_text() == "one"
    assert (out / "file").read_text() == "two"
    assert list(tmp_path.iterdir()) == [out]


def test_sha256_is_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "abc") == expected


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "سلام"}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert canonical_json(value) == '{"a":"سلام","b":[1,2.5,null]}'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist"),
        (b"\xff\xfe", "is not UTF-8 text: byte 0"),
        (b'{"a": 1,\n oops}', "is not valid JSON: line 2"),
    ],
)
def test_unreadable_json_is_one_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "file.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_json(file)
