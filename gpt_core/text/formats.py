"""Extract texts from the formats in which corpora come.

All but JSON arrays, HTML pages, a batch of Arrow and a record of a web archive are streamed. A
plain-text document that is longer than ``MAX_DOCUMENT_CHARACTERS`` is cut at white space, so that a
huge file in a single line fits in memory.
"""

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Literal, cast

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.epub import read_epub
from gpt_core.text.openiti import is_openiti, plain_lines
from gpt_core.text.records import RecordFormat, read_records
from gpt_core.text.streams import open_text
from gpt_core.text.warc import read_warc
from gpt_core.text.web_pages import read_page

MAX_DOCUMENT_CHARACTERS = 1 << 24
TextFormat = Literal["text", "openiti", "html", "epub", "warc"] | RecordFormat
"""A format of files that hold texts."""
_FORMATS: dict[str, TextFormat] = {
    ".txt": "text", ".md": "text", ".text": "text", ".raw": "text", "": "text",
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".arrow": "arrow",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".epub": "epub",
    ".warc": "warc", ".wet": "warc",
}  # fmt: skip
_JSON_LINES = re.compile(
    rb"(\xef\xbb\xbf)?\s*\{[^\r\n]"
)  # not an array, nor an object in many lines
_PEEKED = 64  # bytes


def read_format(stream: IO[bytes], name: str, where: str, reading: ReadingConfig) -> Iterator[str]:
    """Stream the texts of one file.

    Args:
        stream: The file's bytes, decompressed.
        name: The file's name, whose suffix tells the format when ``reading.format`` is ``auto``.
        where: The file's name in error messages.
        reading: How files become texts.

    Raises:
        DataError: Naming the file, the place in it and what was expected.
    """
    if not isinstance(stream, io.BufferedReader):
        stream = io.BufferedReader(cast(io.RawIOBase, stream))
    start = stream.peek(_PEEKED)
    form = reading.format if reading.format != "auto" else _form_of(name, start, where)
    if form == "text" or form == "openiti":
        with open_text(stream, where, reading.encoding, setting="reading.encoding") as text:
            lines = iter(lambda: text.readline(MAX_DOCUMENT_CHARACTERS), "")
            if form == "openiti":
                lines = plain_lines(text, where, heads=reading.keep_heads)
            yield from split_lines(lines, reading.split)
    elif form == "html":
        yield read_page(stream, where, reading, main=reading.html == "main")
    elif form == "epub":
        yield from read_epub(stream, where, reading)
    elif form == "warc":
        yield from read_warc(stream, where, reading)
    else:
        if form == "json" and _JSON_LINES.match(start):  # as some public corpora come
            form = "jsonl"
        yield from _read_column(stream, form, where, reading)


def _read_column(
    stream: IO[bytes], form: RecordFormat, where: str, reading: ReadingConfig
) -> Iterator[str]:
    for place, value in read_records(
        stream,
        form,
        where,
        columns=[reading.text_column],
        encoding=reading.encoding,
        encoding_setting="reading.encoding",
        settings={reading.text_column: "reading.text_column"},
    ):
        yield text_of(value, reading.text_column, f"{where}, {place}")


def _form_of(name: str, start: bytes, where: str) -> TextFormat:
    suffix = PurePosixPath(name).suffix.lower()
    form = _FORMATS.get(suffix)
    if form in (None, "text") and is_openiti(start):  # its names end in anything
        return "openiti"
    if form is None:
        known = ", ".join(sorted(filter(None, _FORMATS)))
        raise DataError(
            f"{where}: cannot read {suffix} files; set reading.format, choose the files by a "
            f"pattern such as 'FOLDER/**/*.txt', or use {known}, also in .gz, .zst or .zip"
        )
    return form


def split_lines(text: Iterable[str], split: str) -> Iterator[str]:
    """Stream the documents of a plain text, split at blank lines, at line ends or not at all."""
    lines: list[str] = []
    size = 0
    for line in text:
        is_blank = line.isspace()
        if split == "file" or not is_blank:
            lines.append(line)
            size += len(line)
        ends = is_blank if split == "blank-line" else split == "line" and line.endswith("\n")
        if lines and ends:
            yield "".join(lines).rstrip("\n")
            lines, size = [], 0
        elif size > MAX_DOCUMENT_CHARACTERS:
            head, rest = _cut_at_space("".join(lines))
            yield head
            lines, size = [rest], len(rest)
    if lines:
        text_left = "".join(lines)
        yield text_left if split == "file" else text_left.rstrip("\n")


def _cut_at_space(text: str) -> tuple[str, str]:
    """Split off the longest head that a document may have, at white space if there is any."""
    head = text[:MAX_DOCUMENT_CHARACTERS]
    end = max(head.rfind("\n"), head.rfind(" ")) + 1 or len(head)
    return text[:end], text[end:]


def text_of(value: object, column: str, where: str) -> str:
    """The text of a record: the record itself, or its value under the column's name.

    Raises:
        DataError: If there is none.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or column not in value:
        found = f"; it has {', '.join(value) or 'none'}" if isinstance(value, dict) else ""
        raise DataError(f"{where}: no text under {column!r}{found}; set reading.text_column")
    text = value[column]
    if not isinstance(text, str):
        raise DataError(
            f"{where}: {column!r} holds no text but {text!r:.40}; set reading.text_column"
        )
    return text
