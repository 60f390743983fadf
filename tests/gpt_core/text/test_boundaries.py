"""Documents are cut out exactly at the offsets of a table."""

import gzip
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts

READING = ReadingConfig(boundaries="index.tsv")


def texts_of(path: Path, reading: ReadingConfig = READING) -> list[str]:
    return [text for _, text in read_texts(path, reading)]


def write_index(folder: Path, *spans: tuple[object, object]) -> None:
    rows = [f"{number}\t{offset}\t{length}" for number, (offset, length) in enumerate(spans)]
    (folder / "index.tsv").write_text("\n".join(["n\tchar_offset\tchar_length", *rows]) + "\n")


@given(st.lists(st.tuples(st.text("اب \r\n😀", max_size=9), st.sampled_from(["", "\n\n", "xx"]))))
def test_documents_separated_by_any_text_are_cut_out(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    text, spans = "#", []
    for document, gap in parts:
        spans.append((len(text), len(document)))
        text += document + gap
    write_index(folder, *spans)
    (folder / "a.txt").write_bytes(text.encode())
    (folder / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    documents = [document for document, _ in parts]
    assert texts_of(folder / "a.txt") == documents
    assert texts_of(folder / "b.txt.gz") == documents
    assert texts_of(folder) == documents * 2


def test_documents_far_into_a_long_text_are_found(tmp_path: Path) -> None:
    texts = [f"{number}:" + "ب" * 70_000 for number in range(20)]
    spans = [(sum(map(len, texts[:number])), len(text)) for number, text in enumerate(texts)]
    write_index(tmp_path, *spans)
    (tmp_path / "a.txt").write_text("".join(texts), encoding="utf-8")
    assert texts_of(tmp_path / "a.txt") == texts


@pytest.mark.parametrize(
    ("spans", "sentence"),
    [
        ([(0, 99)], "line 2: the span of 99 characters from 0 on is not in order or lies outside"),
        ([(0, 1), (5, 1)], "line 3: the span of 1 characters from 5 on"),
        ([(0, "x")], "line 2: char_offset and char_length must be whole numbers, got '0' and 'x'"),
        ([(-1, 2)], "got '-1' and '2'"),
    ],
)
def test_a_span_outside_the_text_raises_a_one_line_error(
    tmp_path: Path, spans: list[tuple[object, object]], sentence: str
) -> None:
    (tmp_path / "a.txt").write_text("text")
    write_index(tmp_path, *spans)
    with pytest.raises(DataError, match=sentence):
        texts_of(tmp_path / "a.txt")


def test_spans_out_of_order_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 1_000_000)
    write_index(tmp_path, (900_000, 5), (0, 5))
    with pytest.raises(DataError, match="line 3: the span of 5 characters from 0 on is not in"):
        texts_of(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (b"n\toffset\n1\t0\n", "has no column 'char_offset'; it has n, offset"),
        (b"", "it has none"),
        (b"char_offset\tchar_length\n1\n", "line 2: 1 fields, the header has 2"),
        (b"\xff\xfe", "index.tsv is not utf-8"),
    ],
)
def test_an_invalid_boundaries_table_raises_a_one_line_error(
    tmp_path: Path, table: bytes, sentence: str
) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "index.tsv").write_bytes(table)
    with pytest.raises(DataError, match=sentence):
        texts_of(tmp_path / "a.txt")


def test_without_a_table_the_split_applies_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text("a\n\nb")
    with caplog.at_level(logging.WARNING):
        assert texts_of(tmp_path / "a.txt") == ["a", "b"]
    assert "there is no index.tsv beside it" in caplog.text


def test_the_7277_hadiths_are_cut_as_their_index_says(shared_data: Path) -> None:
    file = shared_data / "arabic" / "bukhari_raw.txt"
    exact = texts_of(file, ReadingConfig(boundaries="bukhari_index.tsv"))
    assert len(exact) == 7277
    assert len(texts_of(file, ReadingConfig())) == 7287
    assert "\n\n".join(exact) == file.read_text(encoding="utf-8").rstrip("\n")
