"""Any common form becomes the same documents; what cannot be read is one sentence."""

import gzip
import json
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts

TEXTS = ["one, “quoted”", "two\tند", "three"]


def write(folder: Path, name: str) -> Path:
    file = folder / name
    form = file.name.removesuffix(".gz").rsplit(".", 1)[-1]
    if form == "parquet":
        pq.write_table(pa.table({"text": TEXTS}), file)
        return file
    content = {
        "txt": "\n\n".join(TEXTS),
        "json": json.dumps([{"text": text} for text in TEXTS]),
        "jsonl": "\n".join(json.dumps({"text": text}) for text in TEXTS) + "\n",
        "csv": "id,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(TEXTS)),
    }[form].encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def texts_of(path: Path, **reading: object) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig(**reading))]


@pytest.mark.parametrize(
    "name", ["a.txt", "a.json", "a.jsonl", "a.csv", "a.parquet", "a.txt.gz", "a.jsonl.gz"]
)
def test_every_form_gives_the_same_texts(tmp_path: Path, name: str) -> None:
    assert texts_of(write(tmp_path, name)) == TEXTS


def test_a_folder_and_a_zip_are_read_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.txt", "a.jsonl"):
        write(folder, name)
    (folder / ".hidden").write_bytes(b"\0")
    assert texts_of(folder) == TEXTS * 2
    assert [i for i, _ in read_texts(folder, ReadingConfig())][:4] == [
        "a.jsonl#0", "a.jsonl#1", "a.jsonl#2", "b.txt#0",
    ]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(folder / "b.txt", "../outside.txt")
    assert texts_of(tmp_path / "all.zip") == TEXTS
    assert not (tmp_path.parent / "outside.txt").exists()


def test_text_is_split_as_asked(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffa\r\nb\r\n\r\n\r\nc".encode())
    assert texts_of(file) == ["a\nb", "c"]
    assert texts_of(file, split="line") == ["a", "b", "c"]
    assert texts_of(file, split="file") == ["a\nb\n\n\nc"]
    assert texts_of(tmp_path, text_column="x") == ["a\nb", "c"]


def test_boundaries_give_the_exact_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("اب\n\nج\n\nد", encoding="utf-8")
    (tmp_path / "index.tsv").write_text("n\tchar_offset\tchar_length\n1\t0\t5\n2\t7\t1\n")
    assert texts_of(tmp_path / "a.txt", boundaries="index.tsv") == ["اب\n\nج", "د"]
    (tmp_path / "index.tsv").write_text("n\tchar_offset\tchar_length\n1\t0\t99\n")
    with pytest.raises(DataError, match="line 2: the span lies outside"):
        texts_of(tmp_path / "a.txt", boundaries="index.tsv")
    (tmp_path / "index.tsv").write_text("n\toffset\n1\t0\n")
    with pytest.raises(DataError, match="must have the columns char_offset"):
        texts_of(tmp_path / "a.txt", boundaries="index.tsv")


def test_the_7277_hadiths_are_cut_as_their_index_says(shared_data: Path) -> None:
    file = shared_data / "arabic" / "bukhari_raw.txt"
    exact = texts_of(file, boundaries="bukhari_index.tsv")
    assert len(exact) == 7277
    assert len(texts_of(file)) == 7287
    assert sum(map(len, exact)) + 2 * 7276 + len("\n") == 4_320_171


@pytest.mark.parametrize(
    ("name", "content", "reading", "sentence"),
    [
        ("a.txt", b"\x89PNG\0\0", {}, "is a binary file, not text"),
        ("a.txt", "é".encode("latin-1"), {}, "is not utf-8: the byte 0xe9 cannot be decoded"),
        ("a.txt", b"a", {"encoding": "utf-9"}, "reading.encoding=utf-9 is not an encoding"),
        ("a.pdf", b"%PDF", {}, "cannot read .pdf files"),
        ("a.jsonl", b'{"text": "a"}\n{"text"', {}, "line 2: not valid JSON"),
        ("a.jsonl", b'{"body": "a"}\n', {}, "line 1: no text under 'text'; it has body"),
        ("a.json", b'{"text": "a"}', {}, "must hold a JSON array"),
        ("a.json", b"[1", {}, "line 1: not valid JSON"),
        ("a.json", b"[1]", {}, "entry 0: no text under 'text'"),
        ("a.csv", b"id,body\n1,a\n", {}, "has no column 'text'; it has id, body"),
        ("a.csv", b"id,text\n1,a,b\n", {}, "line 2: 3 fields, the header has 2"),
        ("a.csv", b'id,text\n1,"a\n', {}, "not a valid table"),
        ("a.csv", b"", {}, "has no column 'text'; it has none"),
        ("a.parquet", b"PAR1", {}, "is not a whole Parquet file"),
        ("a.txt.gz", b"\x1f\x8b\x08", {}, "is not a whole .gz archive"),
        ("a.txt.gz", b"text", {}, "is not a whole .gz archive"),
        ("a.zip", b"PK", {}, "is not a whole .zip archive"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, reading: dict[str, str], sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        texts_of(tmp_path / name, **reading)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["body", "number"])
def test_a_parquet_column_must_be_there_and_hold_text(tmp_path: Path, column: str) -> None:
    pq.write_table(pa.table({"number": [1], "text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has no column 'body'|does not hold text throughout"):
        texts_of(tmp_path / "a.parquet", text_column=column)
