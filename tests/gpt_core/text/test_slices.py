"""The documents of a source's parts, one after the other, are those of the whole source."""

import gzip
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts
from gpt_core.text.slices import Slice, plan_parts, read_slice

PIECES = [
    "a", "قال", "\n", "\n\n", "\r\n\r\n", "\r\n", "\r", " ", "\t\n", "\ufeff", "\n\n\ufeff",
    "\u2028", "é" * 40, "\x85", "word " * 9,
]  # fmt: skip


def texts_of(parts: list[tuple[Slice, ...]], reading: ReadingConfig) -> list[str]:
    return [text for part in parts for each in part for _, text in read_slice(each, reading)]


@pytest.mark.parametrize("split", ["blank-line", "line", "file"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1256"])
def test_a_text_is_cut_between_documents_only(tmp_path: Path, split: Any, encoding: str) -> None:
    rng, reading = random.Random(), ReadingConfig(split=split, encoding=encoding)
    n_parts = 0
    for number in range(60):
        file = tmp_path / f"{number}.txt"
        text = "".join(rng.choices(PIECES, k=rng.randrange(400)))
        file.write_bytes(text.encode(encoding, "ignore"))
        parts = plan_parts(file, reading, rng.randrange(16, 200))
        whole = [text for _, text in read_texts(file, reading)]
        assert texts_of(parts, reading) == whole
        n_parts += len(parts)
    assert n_parts > (60 if split == "file" else 200) - 1


def test_json_lines_and_small_files_make_parts_and_other_files_are_not_cut(tmp_path: Path) -> None:
    rng, reading = random.Random(), ReadingConfig()
    for number in range(40):
        (tmp_path / f"small-{number:02d}.txt").write_text(f"one {number}\n\ntwo", encoding="utf-8")
    lines = "".join(f'{{"text": "{"x" * rng.randrange(80)} {n}"}}\n' for n in range(100))
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"many\n\n" * 1000))
    (tmp_path / "c.csv").write_text("text\n" + "row\n" * 1000, encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    parts = plan_parts(tmp_path, reading, 300)
    assert texts_of(parts, reading) == [text for _, text in read_texts(tmp_path, reading)]
    flat = [each for part in parts for each in part]
    cut = {each.name for each in flat if each.stop is not None}
    assert cut == {"a.jsonl"}
    assert max(map(len, parts)) > 10, "small files share a part"
    assert all(len({each.name for each in part}) == len(part) for part in parts)
    assert plan_parts(tmp_path, reading) == [
        tuple(replace(e, start=0, stop=None) for e in unique(flat))
    ]


def unique(slices: list[Slice]) -> list[Slice]:
    return list({each.name: each for each in slices}.values())


def test_a_file_with_a_table_of_boundaries_is_not_cut(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n" * 100)
    (tmp_path / "spans.tsv").write_text("char_offset\tchar_length\n0\t3\n")
    (whole,) = plan_parts(tmp_path / "a.txt", ReadingConfig(boundaries="spans.tsv"), 50)
    assert [replace(each, version=None) for each in whole] == [Slice(tmp_path / "a.txt", "a.txt")]
    assert len(plan_parts(tmp_path / "a.txt", ReadingConfig(), 50)) > 5
    assert len(plan_parts(tmp_path / "a.txt", ReadingConfig(encoding="utf-16"), 50)) == 1


def test_a_slice_that_cannot_be_decoded_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"one\n\n" * 100 + b"\xff")
    *_, (last,) = plan_parts(file, ReadingConfig(), 50)
    with pytest.raises(DataError, match=r"a.txt, from byte \d+ on: not utf-8: set reading.enc"):
        list(read_slice(last, ReadingConfig()))


@pytest.mark.parametrize("damage", ["other", "not JSON"])
def test_a_file_that_changed_since_it_was_planned_is_refused(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "one"}\n' * 100, encoding="utf-8")
    parts = plan_parts(file, ReadingConfig(), 300)
    file.write_text({"other": '{"text": "two"}\n', "not JSON": "{bad\n"}[damage] * 100)
    with pytest.raises(DataError, match=r"a.jsonl changed while it was read: run the command"):
        texts_of(parts[2:], ReadingConfig())
