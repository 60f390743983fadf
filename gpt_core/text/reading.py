"""From files to documents, one at a time, also from gz and zip.

Nothing is unpacked to disk and no file but a JSON array is held whole.
"""

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.sources import source_files

_FORMATS = {
    ".txt": "text", ".md": "text", ".text": "text", ".raw": "text", "": "text",
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
}  # fmt: skip
_SNIFFED = 8192  # bytes searched for a NUL, which no text has
_CHUNK = 1 << 20  # characters read at a time


def read_texts(path: Path, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    """Each text of a source with the id of its place: ``file#number``, counted from 0.

    Args:
        path: A file or a folder.
        reading: How files become texts.

    Yields:
        The id and the text.

    Raises:
        DataError: Naming the file, the line and what was expected.
    """
    for file in source_files(path):
        relative = file.relative_to(path).as_posix() if path.is_dir() else file.name
        if path.is_dir() and reading.boundaries == file.name:
            continue
        yield from _numbered(relative, _read_file(file, reading))


def _numbered(name: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        yield f"{name}#{number}", text


def _read_file(file: Path, reading: ReadingConfig) -> Iterator[str]:
    suffix = file.suffix.lower()
    try:
        if suffix == ".zip":
            yield from _read_zip(file, reading)
        elif suffix == ".gz":
            with gzip.open(file) as stream:
                yield from _read_stream(cast(IO[bytes], stream), file.stem, str(file), reading)
        else:
            boundaries = file.parent / reading.boundaries if reading.boundaries else None
            with file.open("rb") as stream:
                if boundaries is not None and boundaries.is_file():
                    yield from _cut(stream, boundaries, str(file), reading.encoding)
                else:
                    yield from _read_stream(stream, file.name, str(file), reading)
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file} is not a whole {suffix} archive: {error}") from error


def _read_zip(file: Path, reading: ReadingConfig) -> Iterator[str]:
    """The members of an archive, read in place: a name that points outside is only a name."""
    with zipfile.ZipFile(file) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            if not member.is_dir():
                with archive.open(member) as stream:
                    where = f"{file}:{member.filename}"
                    yield from _read_stream(stream, member.filename, where, reading)


def _read_stream(stream: IO[bytes], name: str, where: str, reading: ReadingConfig) -> Iterator[str]:
    form = reading.format
    if form == "auto":
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in _FORMATS:
            known = ", ".join(sorted(filter(None, _FORMATS)))
            raise DataError(
                f"{where}: cannot read {suffix} files; set reading.format or use {known}"
            )
        form = _FORMATS[suffix]  # type: ignore[assignment]
    if form == "parquet":
        yield from _read_parquet(stream, where, reading)
        return
    with _as_text(stream, where, reading.encoding) as lines:
        if form == "text":
            yield from _read_text(lines, reading.split)
        elif form == "jsonl":
            yield from _read_jsonl(lines, where, reading.text_column)
        elif form == "json":
            yield from _read_json(lines, where, reading.text_column)
        else:
            yield from _read_table(
                lines, where, reading.text_column, "\t" if form == "tsv" else ","
            )


@contextmanager
def _as_text(stream: IO[bytes], where: str, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Decode a stream strictly, without a byte-order mark; line ends become LF."""
    buffered = cast(io.BufferedReader, stream)  # of a file, a gz or a zip member: all can peek
    if (
        b"\0" in buffered.peek(_SNIFFED)[:_SNIFFED]
        and "16" not in encoding
        and "32" not in encoding
    ):
        raise DataError(f"{where} is a binary file, not text: its first bytes contain NUL")
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        text = io.TextIOWrapper(buffered, encoding=codec, errors="strict", newline=None)
        try:
            yield text
        finally:
            text.detach()  # who opened the stream closes it
    except LookupError as error:
        raise DataError(
            f"reading.encoding={encoding} is not an encoding that Python knows"
        ) from error
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(
            f"{where} is not {encoding}: the byte 0x{byte:02x} cannot be decoded; "
            "set reading.encoding to what it was written in"
        ) from error


def _read_text(lines: Iterable[str], split: str) -> Iterator[str]:
    if split == "file":
        yield "".join(lines)
    elif split == "line":
        yield from (line.rstrip("\n") for line in lines if line.strip())
    else:
        yield from _paragraphs(lines)


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Runs of lines between blank lines."""
    paragraph: list[str] = []
    for line in lines:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield "".join(paragraph).rstrip("\n")
            paragraph = []
    if paragraph:
        yield "".join(paragraph).rstrip("\n")


def _read_jsonl(lines: Iterable[str], where: str, column: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{where}, line {number}: not valid JSON: {error.msg}") from error
            yield _field(row, column, f"{where}, line {number}")


def _read_json(stream: IO[str], where: str, column: str) -> Iterator[str]:
    try:
        rows = json.load(stream)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, line {error.lineno}: not valid JSON: {error.msg}") from error
    if not isinstance(rows, list):
        raise DataError(f"{where} must hold a JSON array of texts or of objects with {column!r}")
    for number, row in enumerate(rows):
        yield _field(row, column, f"{where}, entry {number}")


def _field(row: Any, column: str, where: str) -> str:
    """The text of a row: the row itself, or the named key's."""
    text = row.get(column) if isinstance(row, dict) else row
    if not isinstance(text, str):
        there = f"; it has {', '.join(map(str, row))}" if isinstance(row, dict) else ""
        raise DataError(f"{where}: no text under {column!r}{there}; set reading.text_column")
    return text


def _read_table(lines: Iterable[str], where: str, column: str, delimiter: str) -> Iterator[str]:
    """One column of a table with a header; CSV is quoted, TSV is not."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    csv.field_size_limit(1 << 30)
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        header = next(rows, [])
        if column not in header:
            raise DataError(
                f"{where} has no column {column!r}; it has {', '.join(header) or 'none'}; "
                "set reading.text_column"
            )
        index = header.index(column)
        for row in rows:
            if len(row) != len(header):
                raise DataError(
                    f"{where}, line {rows.line_num}: {len(row)} fields, "
                    f"the header has {len(header)}"
                )
            yield row[index]
    except csv.Error as error:
        raise DataError(f"{where}, line {rows.line_num}: not a valid table: {error}") from error


def _read_parquet(stream: IO[bytes], where: str, reading: ReadingConfig) -> Iterator[str]:
    column = reading.text_column
    try:
        source = stream if stream.seekable() else io.BytesIO(stream.read())
        parquet = pq.ParquetFile(source)
        names = parquet.schema_arrow.names
        if column not in names:
            raise DataError(
                f"{where} has no column {column!r}; it has {', '.join(names)}; "
                "set reading.text_column"
            )
        for batch in parquet.iter_batches(batch_size=1024, columns=[column]):
            for text in batch.column(0).to_pylist():
                if not isinstance(text, str):
                    raise DataError(f"{where}: the column {column!r} does not hold text throughout")
                yield text
    except pa.ArrowException as error:
        raise DataError(f"{where} is not a whole Parquet file: {error}") from error


def _cut(stream: IO[bytes], boundaries: Path, where: str, encoding: str) -> Iterator[str]:
    """Documents by their offsets and lengths in characters, read in one pass."""
    with boundaries.open(encoding="utf-8") as table:
        spans = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    if not spans or not {"char_offset", "char_length"} <= spans[0].keys():
        raise DataError(f"{boundaries} must have the columns char_offset and char_length")
    with _as_text(stream, where, encoding) as text:
        position, buffer = 0, ""  # of the buffer's first character
        for number, span in enumerate(spans, start=2):
            start, length = int(span["char_offset"]), int(span["char_length"])
            while len(buffer) < start + length - position and (chunk := text.read(_CHUNK)):
                buffer += chunk
            if start < position or len(buffer) < start + length - position:
                raise DataError(f"{boundaries}, line {number}: the span lies outside {where}")
            buffer, position = buffer[start - position :], start
            yield buffer[:length]
