"""Stream records from JSON, JSON lines, CSV, TSV, Parquet and Arrow, by the same rules for all.

CSV is quoted, with commas, semicolons or tabs; TSV is not quoted; both have a header. Blank lines
are skipped, line ends become LF, and a byte-order mark is dropped. A record is a JSON value, or a
dictionary of the columns asked for.
Whatever cannot be read is a ``DataError`` that names the file and the place in it.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import IO, Any, Literal

from gpt_core.config import current_limits
from gpt_core.errors import DataError
from gpt_core.files import parse_json_lines
from gpt_core.object_paths import Location
from gpt_core.text.arrow_streams import ArrowStream
from gpt_core.text.delimiters import field_reader
from gpt_core.text.parquet_files import iter_rows, open_parquet
from gpt_core.text.streams import BoundedText, open_text

_MAX_NAMES = 12  # of columns in an error message

RecordFormat = Literal["json", "jsonl", "csv", "tsv", "parquet", "arrow"]
"""A format of files whose records have named fields."""
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
    settings: Mapping[str, str] | None = None,
    headerless: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Iterator[Record]:
    """Stream the records of one file.

    Args:
        stream: The file's bytes.
        form: The file's format.
        where: The file's name in error messages.
        columns: The columns that a table must have; others are not read.
        encoding: Encoding of all formats but Parquet and Arrow.
        encoding_setting: The setting that names the encoding, for error messages.
        settings: The settings that name the columns, for error messages.
        headerless: Columns of a TSV whose first line is no header, the label's first; it is one
            if it has as many fields, none of the names, and a label that other rows have too.
        optional: Columns that a table may have; a row lacks those that it has not.

    Yields:
        The place and the JSON value; for tables a dictionary of ``columns``.

    Raises:
        DataError: If the file cannot be read as that format or lacks a column.
    """
    if form == "parquet" or form == "arrow":
        yield from _read_columns(stream, form, where, columns, settings or {}, optional)
        return
    with open_text(stream, where, encoding, setting=encoding_setting) as text:
        if form == "json":
            yield from _read_json(text, where, columns)
        elif form == "jsonl":
            yield from ((f"line {n}", value) for n, value in parse_json_lines(text, where))
        else:
            yield from read_table(
                text,
                form,
                where,
                columns,
                headerless=headerless,
                settings=settings,
                optional=optional,
            )


def read_table(
    lines: Iterable[str],
    form: Literal["csv", "tsv"],
    where: str,
    columns: Sequence[str],
    *,
    headerless: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    optional: Sequence[str] = (),
) -> Iterator[tuple[str, dict[str, str]]]:
    """Stream the rows of a CSV or TSV; see ``read_records`` for the arguments.

    Yields:
        The place of each row, which is the line where it begins, and its ``columns``.

    Raises:
        DataError: If the table lacks a column, or naming the row that is not valid.
    """
    rows = _split_fields(lines, form, where)
    line, first = next(rows, (1, []))
    header = [name.strip() for name in first]
    labels = Counter[str]()
    if not set(columns) <= set(header):
        other_names = len(first) != len(headerless) or set(columns) & set(header)
        if form != "tsv" or not first or other_names:
            _require_columns(header, columns, where, settings or {})
        rows = _count_labels(chain([(line, first)], rows), labels)
        header = list(headerless)
    read = [*columns, *(name for name in optional if name in header)]
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{where}, line {line}: {len(row)} fields, the header has {len(header)}"
            )
        yield f"line {line}", {name: row[header.index(name)] for name in read}
    if labels[first[0].strip()] == 1 < max(labels.values(), default=0):
        _require_columns([name.strip() for name in first], columns, where, settings or {})


def read_column_names(path: Location, form: RecordFormat, encoding: str = "utf-8") -> list[str]:
    """The names of a table's columns: the first line of a CSV or TSV, which may be a row of it.

    Raises:
        DataError: If the file is missing or cannot be read as that format.
    """
    with file_errors(path), path.open("rb") as stream:
        if form == "parquet":
            return list(open_parquet(stream, str(path)).schema_arrow.names)
        if form not in ("csv", "tsv"):
            return []
        with open_text(stream, str(path), encoding) as text:
            _, first = next(_split_fields(text, form, str(path)), (1, []))
    return [name.strip() for name in first]


def _split_fields(
    lines: Iterable[str], form: RecordFormat, where: str
) -> Iterator[tuple[int, list[str]]]:
    """Stream the line where each row begins, and its fields; blank lines are skipped."""
    limit = current_limits().cell_characters
    rows = field_reader(lines, "tsv" if form == "tsv" else "csv")
    begin = 1  # the line in which the row that is being read begins
    try:
        for row in rows:
            begin, line = rows.line_num + 1, begin
            if row:
                yield line, row
    except csv.Error as error:
        if "field limit" in str(error):
            raise DataError(
                f"{where}, line {begin}: a field is longer than {limit:,} characters: close its "
                "quotes, cut it into several rows, or raise limits.cell_characters"
            ) from error
        raise DataError(f"{where}, line {begin}: not a valid table: {error}") from error


def _count_labels(
    rows: Iterable[tuple[int, list[str]]], labels: Counter[str]
) -> Iterator[tuple[int, list[str]]]:
    """Pass the rows on, and count what is in their first field."""
    for line, row in rows:
        labels[row[0].strip()] += 1
        yield line, row


def read_record_file(
    path: Location,
    form: RecordFormat,
    columns: Sequence[str],
    headerless: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    *,
    encoding: str = "utf-8",
    encoding_setting: str | None = None,
    optional: Sequence[str] = (),
) -> Iterator[Record]:
    """Stream the records of a file; see ``read_records``.

    Raises:
        DataError: If the file is missing, cannot be read as that format or lacks a column.
    """
    with file_errors(path), path.open("rb") as stream:
        yield from read_records(
            stream,
            form,
            str(path),
            columns=columns,
            encoding=encoding,
            encoding_setting=encoding_setting,
            settings=settings,
            headerless=headerless,
            optional=optional,
        )


def read_objects(path: Location) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stream the objects of a JSON lines file, each with its place.

    Raises:
        DataError: If the file is missing or not UTF-8, or naming the line that is not an object.
    """
    for place, value in read_record_file(path, "jsonl", ()):
        if not isinstance(value, dict):
            raise DataError(f"{path}, {place} is not a JSON object")
        yield place, value


def list_names(names: Iterable[str]) -> str:
    """The names of columns or keys for an error message, shortened."""
    shown = [repr(name)[1:-1][:40] for name in islice(names, _MAX_NAMES + 1)]
    return ", ".join([*shown[:_MAX_NAMES], *["..."] * (len(shown) > _MAX_NAMES)]) or "none"


def require_unicode(text: str, where: str) -> None:
    """Check that a text can be written as UTF-8, unlike half of a surrogate pair in JSON.

    Raises:
        DataError: Naming the place that ``where`` tells.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise DataError(
            f"{where} has half of a surrogate pair, \\u{code:04x}, which is no character: "
            "correct or remove it"
        ) from error


@contextmanager
def file_errors(path: Location) -> Iterator[None]:
    """Translate an operating-system error into a ``DataError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_json(stream: BoundedText, where: str, columns: Sequence[str]) -> Iterator[Record]:
    try:
        values = json.loads(stream.read_all())
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, line {error.lineno}: not valid JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number too long or a nesting too deep
        raise DataError(f"{where}, line 1: JSON that cannot be read: {_reason(error)}") from error
    if not isinstance(values, list):
        names = " and ".join(map(repr, columns))
        raise DataError(f"{where} must hold a JSON array of objects with {names}")
    for number, value in enumerate(values):
        yield f"entry {number}", value


def _reason(error: Exception) -> str:
    """The text of an error without Python's advice to its programmer."""
    return str(error).partition(";")[0]


def _read_columns(
    stream: IO[bytes],
    form: Literal["parquet", "arrow"],
    where: str,
    columns: Sequence[str],
    settings: Mapping[str, str],
    optional: Sequence[str],
) -> Iterator[Record]:
    if form == "arrow":
        arrow = ArrowStream(stream, where)
        names = arrow.names
    else:
        parquet = open_parquet(stream, where, [*columns, *optional])
        names = parquet.schema_arrow.names
    _require_columns(names, columns, where, settings)
    read = [*columns, *(name for name in optional if name in names)]
    rows = arrow.rows(read) if form == "arrow" else iter_rows(parquet, read, where)
    for number, row in enumerate(rows):
        yield f"row {number}", row


def _require_columns(
    names: Sequence[str], columns: Sequence[str], where: str, settings: Mapping[str, str]
) -> None:
    missing = next((column for column in columns if column not in names), None)
    if missing is not None:
        there = list_names(names)
        advice = f"; set {settings[missing]}" if missing in settings else ""
        raise DataError(f"{where} has no column {missing!r}; it has {there}{advice}")
