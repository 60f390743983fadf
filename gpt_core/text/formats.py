"""The forms that texts come in: plain text, JSON, JSON lines, CSV, TSV, Parquet.

All but a JSON array are streamed. A plain-text document that is longer than
``MAX_DOCUMENT_CHARACTERS`` is cut at white space, so that a huge file in a single line fits in
memory.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError

MAX_DOCUMENT_CHARACTERS = 1 << 24  # characters
_FORMATS = {
    ".txt": "text", ".md": "text", ".text": "text", ".raw": "text", "": "text",
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
}  # fmt: skip
_SNIFF_BYTES = 8192  # bytes searched for a NUL, which no text has
_WIDE_ENCODINGS = ("utf-16", "utf-32")  # in these NULs are common
_BYTE_ORDER_MARKS = {
    "utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"),
    "utf-16": (b"\xff\xfe", b"\xfe\xff"),
}
_ROWS = 1024  # read at a time from Parquet


def read_format(stream: IO[bytes], name: str, where: str, reading: ReadingConfig) -> Iterator[str]:
    """The texts of one file.

    Args:
        stream: The file's bytes, unpacked.
        name: The file's name, which tells its form when ``reading.format`` is ``auto``.
        where: What the file is called in errors.
        reading: How files become texts.

    Raises:
        DataError: Naming the file, the place in it and what was expected.
    """
    form = reading.format if reading.format != "auto" else _form_of(name, where)
    if form == "parquet":
        yield from _read_parquet(stream, where, reading.text_column)
        return
    with open_text(stream, where, reading.encoding) as text:
        if form == "text":
            yield from _read_text(text, reading.split)
        elif form == "jsonl":
            yield from _read_jsonl(text, where, reading.text_column)
        elif form == "json":
            yield from _read_json(text, where, reading.text_column)
        else:
            yield from _read_table(text, where, reading.text_column, "\t" if form == "tsv" else ",")


def _form_of(name: str, where: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(sorted(filter(None, _FORMATS)))
        raise DataError(
            f"{where}: cannot read {suffix} files; set reading.format or use {known}, also in .gz "
            "or .zip"
        )
    return _FORMATS[suffix]


@contextmanager
def open_text(
    stream: IO[bytes], where: str, encoding: str, newline: str | None = None
) -> Iterator[io.TextIOWrapper]:
    """Decode a stream strictly, without a byte-order mark.

    Args:
        stream: The bytes.
        where: What they are called in errors.
        encoding: Of the text.
        newline: As in ``open``: None turns all line ends into LF, ``""`` leaves them.

    Raises:
        DataError: If it is no text, or not in that encoding: naming the byte and its line.
    """
    buffered = io.BufferedReader(cast(io.RawIOBase, stream))
    _refuse_binary(buffered.peek(_SNIFF_BYTES)[:_SNIFF_BYTES], where, encoding)
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    with io.TextIOWrapper(buffered, encoding=codec, errors="strict", newline=newline) as text:
        try:
            yield text
        except UnicodeDecodeError as error:
            offset = buffered.tell() - len(error.object) + error.start
            raise DataError(
                f"{where} is not {encoding}: byte 0x{error.object[error.start]:02x} at offset "
                f"{offset} (line {_line_at(buffered, offset)}) cannot be decoded; set "
                "reading.encoding to what it was written in"
            ) from error
        except UnicodeError as error:
            raise DataError(f"{where} is not {encoding}: {error}; set reading.encoding") from error


def _refuse_binary(start: bytes, where: str, encoding: str) -> None:
    if b"\0" not in start or encoding.lower().replace("_", "-").startswith(_WIDE_ENCODINGS):
        return
    for wide, marks in _BYTE_ORDER_MARKS.items():
        if start.startswith(marks):
            raise DataError(f"{where} is {wide} text, not {encoding}: set reading.encoding={wide}")
    raise DataError(f"{where} is a binary file, not text: its first bytes contain NUL")


def _line_at(buffered: io.BufferedIOBase, offset: int) -> int:
    """The line, counted from 1, in which a byte stands."""
    buffered.seek(0)
    line = 1
    while offset > 0 and (chunk := buffered.read(min(offset, 1 << 20))):
        line += chunk.count(b"\n")
        offset -= len(chunk)
    return line


def _read_text(text: io.TextIOWrapper, split: str) -> Iterator[str]:
    """Documents that end at a blank line, at each line or with the file."""
    gathered: list[str] = []
    size = 0
    for line in iter(lambda: text.readline(MAX_DOCUMENT_CHARACTERS), ""):
        is_blank = line.isspace()
        if split == "file" or not is_blank:
            gathered.append(line)
            size += len(line)
        ends = is_blank if split == "blank-line" else split == "line" and line.endswith("\n")
        if gathered and ends:
            yield "".join(gathered).rstrip("\n")
            gathered, size = [], 0
        elif size > MAX_DOCUMENT_CHARACTERS:
            head, rest = _cut_at_space("".join(gathered))
            yield head
            gathered, size = [rest], len(rest)
    if gathered:
        whole = "".join(gathered)
        yield whole if split == "file" else whole.rstrip("\n")


def _cut_at_space(text: str) -> tuple[str, str]:
    """The text's longest head that may be a document, ending at white space if there is any."""
    head = text[:MAX_DOCUMENT_CHARACTERS]
    end = max(head.rfind("\n"), head.rfind(" ")) + 1 or len(head)
    return text[:end], text[end:]


def _read_jsonl(lines: Iterable[str], where: str, column: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _field(_parse(line, where, number), column, f"{where}, line {number}")


def _read_json(stream: IO[str], where: str, column: str) -> Iterator[str]:
    values = _parse(stream.read(), where, 1)
    if not isinstance(values, list):
        raise DataError(f"{where} must hold a JSON array of texts or of objects with {column!r}")
    for number, value in enumerate(values):
        yield _field(value, column, f"{where}, entry {number}")


def _parse(text: str, where: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(f"{where}, line {line}: not valid JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all measure
        raise DataError(f"{where}, line {first_line}: JSON that cannot be read: {error}") from error


def _field(value: Any, column: str, where: str) -> str:
    """The text of a value: the value itself, or the named key's."""
    text = value.get(column) if isinstance(value, dict) else value
    if not isinstance(text, str):
        there = f"; it has {', '.join(value) or 'none'}" if isinstance(value, dict) else ""
        raise DataError(f"{where}: no text under {column!r}{there}; set reading.text_column")
    return text


def _read_table(lines: Iterable[str], where: str, column: str, delimiter: str) -> Iterator[str]:
    """One column of a table with a header; CSV is quoted, TSV is not."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    csv.field_size_limit(MAX_DOCUMENT_CHARACTERS)
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        header = next(rows, [])
        index = _column(header, column, where)
        for row in rows:
            if row and len(row) != len(header):
                raise DataError(
                    f"{where}, line {rows.line_num}: {len(row)} fields, "
                    f"the header has {len(header)}"
                )
            if row:
                yield row[index]
    except csv.Error as error:
        raise DataError(f"{where}, line {rows.line_num}: not a valid table: {error}") from error


def _column(names: list[str], column: str, where: str) -> int:
    """Where the column stands among the names."""
    if column not in names:
        there = ", ".join(names) or "none"
        raise DataError(
            f"{where} has no column {column!r}; it has {there}; set reading.text_column"
        )
    return names.index(column)


def _read_parquet(stream: IO[bytes], where: str, column: str) -> Iterator[str]:
    try:
        parquet = pq.ParquetFile(stream)
        _column(parquet.schema_arrow.names, column, where)
        row = 0
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=[column]):
            for text in batch.column(0).to_pylist():
                if not isinstance(text, str):
                    raise DataError(
                        f"{where}, row {row}: the column {column!r} holds no text but {text!r:.40}"
                    )
                yield text
                row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(f"{where} is not a whole Parquet file: {first_line}") from error
