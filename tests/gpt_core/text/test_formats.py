"""Every format gives the same texts; an unreadable file raises a one-line error with its place."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import ReadingConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.text import read_texts
from gpt_core.text.formats import MAX_DOCUMENT_CHARACTERS

TEXTS = ["one, “quoted”", "two\tند", 'three "3"\nlines']


def texts_of(path: Path, **reading: object) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig(**reading))]


def as_csv(texts: list[str]) -> str:
    return "id,text\r\n" + "".join(
        '{},"{}"\r\n'.format(i, text.replace('"', '""')) for i, text in enumerate(texts)
    )


CONTENTS = {
    "a.txt": "\n\n".join(TEXTS),
    "a.json": json.dumps([{"id": 1, "text": text} for text in TEXTS]),
    "b.json": json.dumps(TEXTS, indent=1, ensure_ascii=False),
    "a.jsonl": "\n".join(json.dumps({"text": text}) for text in TEXTS) + "\n\n",
    "a.NDJSON": "\r\n".join(json.dumps(text, ensure_ascii=False) for text in TEXTS),
    "lines.json": "\n".join(json.dumps({"text": text}) for text in TEXTS),
    "a.csv": as_csv(TEXTS),
}


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize("name", CONTENTS)
def test_every_format_gives_the_same_texts(tmp_path: Path, name: str, mark: str) -> None:
    (tmp_path / name).write_bytes((mark + CONTENTS[name]).encode())
    assert texts_of(tmp_path / name) == TEXTS


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))))
def test_csv_jsonl_and_parquet_agree_on_any_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    (folder / "a.csv").write_bytes(as_csv(texts).encode())
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), folder / "a.parquet")
    assert texts_of(folder / "a.csv") == texts
    assert texts_of(folder / "a.jsonl") == texts
    assert texts_of(folder / "a.parquet") == texts


def test_a_tsv_has_no_quotes_and_may_end_in_a_blank_line(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('label\ttext\nham\tso "quiet\nspam\t"win"\n\n')
    assert texts_of(tmp_path / "a.tsv") == ['so "quiet', '"win"']
    assert texts_of(tmp_path / "a.tsv", text_column="label") == ["ham", "spam"]


def test_text_is_split_by_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffa\r\nb\r\n \r\n\r\nc".encode())
    assert texts_of(file) == ["a\nb", "c"]
    assert texts_of(file, split="line") == ["a", "b", "c"]
    assert texts_of(file, split="file") == ["a\nb\n \n\nc"]


@pytest.mark.parametrize("encoding", ["cp1256", "utf-16", "utf-32", "utf-8-sig"])
def test_any_encoding_is_read_by_its_name(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_text("قال\n\nنعم", encoding=encoding)
    assert texts_of(tmp_path / "a.txt", encoding=encoding) == ["قال", "نعم"]


def test_the_format_can_be_set_for_an_unknown_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.dump").write_text('{"text": "a"}\n')
    assert texts_of(tmp_path / "a.dump", format="jsonl") == ["a"]


@pytest.mark.parametrize("split", ["line", "file", "blank-line"])
def test_a_huge_line_is_cut_into_documents_at_spaces(tmp_path: Path, split: str) -> None:
    words = "word " * (MAX_DOCUMENT_CHARACTERS // 5 + 100_000)
    (tmp_path / "a.txt").write_text(words)
    pieces = texts_of(tmp_path / "a.txt", split=split)
    assert len(pieces) == 2
    assert max(map(len, pieces)) <= MAX_DOCUMENT_CHARACTERS
    assert "".join(pieces) == words
    assert pieces[0].endswith("word ")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"\x89PNG\0\0", "is a binary file, not text"),
        ("a.txt", "a".encode("utf-16"), "is utf-16 text, not utf-8: set reading.encoding=utf-16"),
        ("a.txt", "a".encode("utf-32"), "is utf-32 text, not utf-8: set reading.encoding=utf-32"),
        (
            "a.txt",
            b"ab\ncd\n" * 30_000 + "\u00e9".encode("latin-1") + b"f",
            "is not utf-8: byte 0xe9 at offset 180000 (line 60001) cannot be decoded; set "
            "reading.encoding=cp1252, which it may be",
        ),
        ("a.txt", b"\xef\xbb\xbfa\n\xff", "byte 0xff at offset 5 (line 2)"),
        ("a.txt", b"a\xe2\x80", "byte 0xe2 at offset 1 (line 1)"),
        ("a.pdf", b"%PDF", "cannot read .pdf files"),
        ("a.jsonl", b'{"text": "a"}\n{"text"', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", b'{"body": "a", "n": 1}\n', "line 1: no text under 'text'; it has body, n;"),
        ("a.jsonl", b'{"text": 3}\n', "line 1: 'text' holds no text but 3; set reading.text_col"),
        ("a.jsonl", b"3\n", "line 1: no text under 'text'; set reading.text_column"),
        ("a.jsonl", b"{}\n", "it has none; set reading.text_column"),
        ("a.jsonl", b"[" * 99_999, "a.jsonl, line 1: JSON that cannot be read"),
        ("a.jsonl", b"\n" + b"1" * 9_999, "a.jsonl, line 2: JSON that cannot be read"),
        ("a.json", b'{\n"text": "a"}', "must hold a JSON array"),
        ("a.json", b'{"data": ["a"]}', "a.json, line 1: no text under 'text'; it has data; set"),
        (
            "a.ara1-x",
            b"text",
            "cannot read .ara1-x files; set reading.format, choose the files by a",
        ),
        ("a.json", b"[1,\n2", "a.json, line 2: not valid JSON"),
        ("a.json", b"", "a.json, line 1: not valid JSON"),
        ("a.json", b"[1]", "entry 0: no text under 'text'"),
        ("a.csv", b"id,body\n1,a\n", "has no column 'text'; it has id, body"),
        ("a.csv", b"id,text\n1,a,b\n", "line 2: 3 fields, the header has 2"),
        ("a.csv", b'id,text\n1,"a\n', "not a valid table"),
        ("a.csv", b"", "has no column 'text'; it has none"),
        ("a.parquet", b"PAR1", "is not an intact Parquet file"),
        ("a.parquet", b"PAR1" + b"\0" * 99 + b"PAR1", "is not an intact Parquet file"),
    ],
)
def test_an_unreadable_file_raises_a_one_line_error(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        texts_of(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_wide_text_without_a_byte_order_mark_raises(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("long enough".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a.txt is not utf-16"):
        texts_of(tmp_path / "a.txt", encoding="utf-16")


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "undefined"])
def test_an_unknown_encoding_is_refused_by_the_configuration(encoding: str) -> None:
    with pytest.raises(ConfigError, match=f"encoding must be one that .* got '{encoding}'"):
        ReadingConfig(encoding=encoding)


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("body", "has no column 'body'; it has number, text"),
        ("number", "row 0: 'number' holds no text but 1; set reading.text_column"),
        ("text", "row 1: 'text' holds no text but None"),
    ],
)
def test_a_parquet_column_must_exist_and_hold_text(
    tmp_path: Path, column: str, sentence: str
) -> None:
    table = pa.table({"number": [1, 2], "text": ["a", None]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=sentence):
        texts_of(tmp_path / "a.parquet", text_column=column)


def test_parquet_with_invalid_utf8_raises_a_one_line_error(tmp_path: Path) -> None:
    broken = pa.array([b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="is not an intact Parquet file"):
        texts_of(tmp_path / "a.parquet")
