"""Stream records from JSON, JSON lines, CSV, TSV and Parquet, by the same rules for every caller.

CSV is quoted, TSV is not; both have a header. Blank lines are skipped, line ends become LF, and a
byte-order mark is dropped. A record is a JSON value, or a dictionary of the columns asked for.
Whatever cannot be read is a ``DataError`` that names the file and the place in it.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.errors import DataError
from gpt_core.files import parse_json_lines
from gpt_core.text.streams import open_text

MAX_FIELD_CHARACTERS = 1 << 24  # of one CSV or TSV field
_PARQUET_ROWS = 1024  # read at a time

RecordFormat = Literal["json", "jsonl", "csv", "tsv", "parquet"]
Record = tuple[str, object]
"""The place of a record in its file, such as ``line 3``, and its value."""


def read_records(
    stream: IO[bytes],
    form: RecordFormat,
    where: str,
    *,
    columns: Sequence[str],
    encoding: str = "utf-8",
    encoding_setting: str | None = None,
    columns_setting: str | None = None,
    headerless: Sequence[str] = (),
) -> Iterator[Record]:
    """Stream the records of one file.

    Args:
        stream: The file's bytes.
        form: The file's format.
        where: The file's name in error messages.
        columns: The columns that a table must have; others are not read.
        encoding: Encoding of all formats but Parquet.
        encoding_setting: The setting that names the encoding, for error messages.
        columns_setting: The setting that names the columns, for error messages.
        headerless: Columns of a TSV whose first line has this many fields but is no header.

    Yields:
        The place and the JSON value; for tables a dictionary of ``columns``.

    Raises:
        DataError: If the file cannot be read as that format or lacks a column.
    """
    if form == "parquet":
        yield from _read_parquet(stream, where, columns, columns_setting)
        return
    with open_text(stream, where, encoding, setting=encoding_setting) as text:
        if form == "json":
            yield from _read_json(text, where, columns)
        elif form == "jsonl":
            yield from ((f"line {n}", value) for n, value in parse_json_lines(text, where))
        else:
            yield from read_table(
                text, form, where, columns, headerless=headerless, columns_setting=columns_setting
            )


def read_table(
    lines: Iterable[str],
    form: Literal["csv", "tsv"],
    where: str,
    columns: Sequence[str],
    *,
    headerless: Sequence[str] = (),
    columns_setting: str | None = None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Stream the rows of a CSV or TSV; see ``read_records`` for the arguments.

    Yields:
        The place of each row, which is the line where it begins, and its ``columns``.

    Raises:
        DataError: If the table lacks a column, or naming the row that is not valid.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if form == "tsv" else csv.QUOTE_MINIMAL
    delimiter = "\t" if form == "tsv" else ","
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    begin = 1  # the line in which the row that is being read begins
    header: list[str] | None = None
    try:
        for row in rows:
            begin, first = rows.line_num + 1, begin
            if not row:
                continue
            if header is None:
                header = [name.strip() for name in row]
                if set(columns) <= set(header):
                    continue
                if form != "tsv" or len(row) != len(headerless):
                    _require_columns(header, columns, where, columns_setting)
                header = list(headerless)
            if len(row) != len(header):
                raise DataError(
                    f"{where}, line {first}: {len(row)} fields, the header has {len(header)}"
                )
            yield f"line {first}", {name: row[header.index(name)] for name in columns}
    except csv.Error as error:
        raise DataError(f"{where}, line {begin}: not a valid table: {error}") from error
    if header is None:
        _require_columns([], columns, where, columns_setting)


def read_record_file(
    path: Path, form: RecordFormat, columns: Sequence[str], headerless: Sequence[str] = ()
) -> Iterator[Record]:
    """Stream the records of a UTF-8 or Parquet file; see ``read_records``.

    Raises:
        DataError: If the file is missing, cannot be read as that format or lacks a column.
    """
    with file_errors(path), path.open("rb") as stream:
        yield from read_records(stream, form, str(path), columns=columns, headerless=headerless)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Translate an operating-system error into a ``DataError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_json(stream: IO[str], where: str, columns: Sequence[str]) -> Iterator[Record]:
    try:
        values = json.loads(stream.read())
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, line {error.lineno}: not valid JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number too long or a nesting too deep
        raise DataError(f"{where}, line 1: JSON that cannot be read: {error}") from error
    if not isinstance(values, list):
        names = " and ".join(map(repr, columns))
        raise DataError(f"{where} must hold a JSON array of objects with {names}")
    for number, value in enumerate(values):
        yield f"entry {number}", value


def _read_parquet(
    stream: IO[bytes], where: str, columns: Sequence[str], columns_setting: str | None
) -> Iterator[Record]:
    try:
        parquet = pq.ParquetFile(stream)
        _require_columns(parquet.schema_arrow.names, columns, where, columns_setting)
        number = 0
        for batch in parquet.iter_batches(batch_size=_PARQUET_ROWS, columns=list(columns)):
            for row in batch.to_pylist():
                yield f"row {number}", row
                number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(f"{where} is not an intact Parquet file: {first_line}") from error


def _require_columns(
    names: Sequence[str], columns: Sequence[str], where: str, setting: str | None
) -> None:
    missing = next((column for column in columns if column not in names), None)
    if missing is not None:
        there = ", ".join(names) or "none"
        advice = f"; set {setting}" if setting else ""
        raise DataError(f"{where} has no column {missing!r}; it has {there}{advice}")
