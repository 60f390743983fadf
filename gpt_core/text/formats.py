"""Extract texts from plain text, JSON, JSON lines, CSV, TSV and Parquet.

All but a JSON array are streamed. A plain-text document that is longer than
``MAX_DOCUMENT_CHARACTERS`` is cut at white space, so that a huge file in a single line fits in
memory.
"""

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Literal

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.records import RecordFormat, read_records
from gpt_core.text.streams import open_text

MAX_DOCUMENT_CHARACTERS = 1 << 24
_FORMATS: dict[str, Literal["text"] | RecordFormat] = {
    ".txt": "text", ".md": "text", ".text": "text", ".raw": "text", "": "text",
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
}  # fmt: skip


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
    form = reading.format if reading.format != "auto" else _form_of(name, where)
    if form == "text":
        with open_text(stream, where, reading.encoding, setting="reading.encoding") as text:
            yield from _read_text(text, reading.split)
        return
    for place, value in read_records(
        stream,
        form,
        where,
        columns=[reading.text_column],
        encoding=reading.encoding,
        encoding_setting="reading.encoding",
        settings={reading.text_column: "reading.text_column"},
    ):
        yield _text_of(value, reading.text_column, f"{where}, {place}")


def _form_of(name: str, where: str) -> Literal["text"] | RecordFormat:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(sorted(filter(None, _FORMATS)))
        raise DataError(
            f"{where}: cannot read {suffix} files; set reading.format or use {known}, also in .gz "
            "or .zip"
        )
    return _FORMATS[suffix]


def _read_text(text: io.TextIOWrapper, split: str) -> Iterator[str]:
    """Stream the documents of a plain text, split at blank lines, at line ends or not at all."""
    lines: list[str] = []
    size = 0
    for line in iter(lambda: text.readline(MAX_DOCUMENT_CHARACTERS), ""):
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


def _text_of(value: object, column: str, where: str) -> str:
    """The text of a record: the record itself, or its value under the column's name."""
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
