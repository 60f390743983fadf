"""A file, a folder, a gz and a zip give the same texts, without extraction to disk."""

import gzip
import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import clean_corpus, read_documents, read_texts, register_source


def ids_and_texts(path: Path, **reading: object) -> list[tuple[str, str]]:
    return list(read_texts(path, ReadingConfig(**reading)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, one of them deeper, and three that are hidden."""
    source = tmp_path / "source"
    (source / "deep" / ".git").mkdir(parents=True)
    (source / "b.jsonl").write_text('"three"\n')
    (source / "deep" / "a.txt").write_text("one\n\ntwo")
    (source / "deep" / ".git" / "c.txt").write_text("hidden")
    (source / ".DS_Store").write_bytes(b"\0")
    return source


def test_a_folder_is_read_in_path_order_without_hidden_files(folder: Path) -> None:
    expected = [("b.jsonl#0", "three"), ("deep/a.txt#0", "one"), ("deep/a.txt#1", "two")]
    assert ids_and_texts(folder) == expected
    documents = list(read_documents(folder, ReadingConfig()))
    assert [(document.id, document.text) for document in documents] == expected
    assert {document.source for document in documents} == {"source"}


def test_a_zip_is_read_without_extracting_any_path(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "b.jsonl", "b.jsonl")
        archive.write(folder / "deep" / "a.txt", "../outside.txt")
        archive.writestr("__MACOSX/._b.jsonl", b"\0\0")
        archive.writestr("__MACOSX/b.jsonl", b"\0\0")
        archive.writestr("empty/", "")
        archive.writestr(".hidden.txt", "four")
        archive.writestr("deep/.git/five.txt", "five")
    before = sorted(tmp_path.parent.rglob("*"))
    assert ids_and_texts(tmp_path / "all.zip") == [
        ("all.zip:../outside.txt#0", "one"),
        ("all.zip:../outside.txt#1", "two"),
        ("all.zip:b.jsonl#0", "three"),
    ]
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_the_format_of_a_gz_follows_from_the_suffix_before(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text\na\n") + gzip.compress(b"b\n"))
    assert ids_and_texts(tmp_path / "a.csv.gz") == [("a.csv.gz#0", "a"), ("a.csv.gz#1", "b")]


def test_an_undecodable_byte_in_an_archive_is_named_by_its_offset(tmp_path: Path) -> None:
    content = b"line\n" * 9000 + b"\xff"
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", content)
    for name in ("a.txt.gz", "a.zip"):
        with pytest.raises(DataError, match=r"offset 45000 \(line 9001\)"):
            ids_and_texts(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt.gz", b"\x1f\x8b\x08", "is not an intact .gz archive"),
        ("a.txt.gz", b"text", "is not an intact .gz archive"),
        ("a.txt.gz", gzip.compress(b"text" * 99, mtime=0)[:-9], "is not an intact .gz archive"),
        (
            "a.txt.gz",
            gzip.compress(b"text", mtime=0)[:-8] + b"\0" * 8,
            "is not an intact .gz archive",
        ),
        ("a.tar.gz", gzip.compress(b"text", mtime=0), "cannot read .tar files"),
        ("a.zip", b"PK", "is not an intact .zip archive"),
    ],
)
def test_a_damaged_archive_raises_a_one_line_error(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        ids_and_texts(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (8, 1, "a.zip:a.txt is encrypted: unpack the archive"),
        (10, 99, "a.zip cannot be unpacked: That compression method is not supported"),
        (16, 12345, "is not an intact .zip archive: Bad CRC-32"),
    ],
)
def test_an_unsupported_zip_raises_a_one_line_error(
    tmp_path: Path, field: int, value: int, sentence: str
) -> None:
    """The field is one of the archive's own list of members: flags, method or checksum."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + field, value)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        ids_and_texts(tmp_path / "a.zip")


def test_a_file_deleted_during_reading_raises_a_one_line_error(folder: Path) -> None:
    texts = read_texts(folder, ReadingConfig())
    assert next(texts) == ("b.jsonl#0", "three")
    (folder / "deep" / "a.txt").unlink()
    with pytest.raises(DataError, match=r"a.txt cannot be read: No such file"):
        next(texts)


def append(file: Path) -> None:
    with file.open("a") as opened:
        opened.write("more\n" * 50_000)


def truncate(file: Path) -> None:
    os.truncate(file, 10)


def replace(file: Path) -> None:
    content = file.read_bytes()
    (file.parent / "new").write_bytes(content)
    os.utime(file.parent / "new", (1, 1))
    (file.parent / "new").rename(file)


@pytest.mark.parametrize("change", [append, truncate, replace])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl.zst"])
def test_a_file_that_changes_while_it_is_read_raises_a_one_line_error(
    tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    lines = "".join(f'"{random_text}"\n' for random_text in noise(20_000))
    packed = {".gz": gzip.compress, ".zst": zstandard.compress}.get(Path(name).suffix, bytes)
    (tmp_path / name).write_bytes(packed(lines.encode()))
    texts = read_texts(tmp_path, ReadingConfig(split="line"))
    next(texts)
    change(tmp_path / name)
    with pytest.raises(DataError, match=f"{name} changed while it was read: run the command again"):
        list(texts)


def noise(count: int) -> list[str]:
    """Texts that do not shrink when they are packed."""
    return [os.urandom(12).hex() for _ in range(count)]


def test_a_file_that_appears_while_a_corpus_is_cleaned_leaves_no_artifact(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        text = "\n\n".join(f"text {number} {part}" for part in range(600))
        (source / f"{number}.txt").write_text(text)
    raw = register_source(source, tmp_path / "raw")

    def progress(*_: object) -> None:
        (source / "4.txt").write_text("new")

    config = ReadingConfig(), CleaningConfig(language="none")
    with pytest.raises(DataError, match=r"4.txt has changed since it was recorded: run the comm"):
        clean_corpus(raw, *config, tmp_path / "out", progress=progress)
    assert not (tmp_path / "out").exists()


def test_thousands_of_files_of_several_formats_are_read_in_order(tmp_path: Path) -> None:
    contents = {
        ".txt": "{}",
        ".jsonl": '{{"text": "{}"}}',
        ".html": "<p>{}</p>",
        ".csv": "text\n{}",
    }
    for number in range(2000):
        suffix = list(contents)[number % 4]
        (tmp_path / f"{number}{suffix}").write_text(contents[suffix].format(number))
    read = list(read_texts(tmp_path, ReadingConfig(html="all")))
    names = [name.partition("#")[0] for name, _ in read]
    assert names == sorted(names, key=str.encode)
    assert [text for _, text in read] == [Path(name).stem for name in names]
