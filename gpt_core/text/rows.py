"""Stream every row of a table, also those that cannot be read, each with its reason.

For predictions, where one broken row of a million must neither stop the work nor shift the others.
What breaks the file itself, such as a quote that is never closed, is a ``DataError``.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Literal

from gpt_core.config import current_limits
from gpt_core.errors import DataError
from gpt_core.object_paths import Location
from gpt_core.text.delimiters import field_reader
from gpt_core.text.parquet_files import iter_rows, open_parquet
from gpt_core.text.records import file_errors, list_names, read_record_file
from gpt_core.text.streams import open_text

RowFormat = Literal["csv", "tsv", "json", "jsonl", "lines", "parquet"]

_FORMATS: dict[str, RowFormat] = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".txt": "lines", ".parquet": "parquet",
}  # fmt: skip
_PEEKED = 100  # records of JSON, one of which must have the text
_NEVER_CLOSED = "unexpected end of data"


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedColumns:
    """The columns that a table is read for."""

    text: str
    """The texts, which it must have."""

    label: str | None = None
    """The right labels, which it may have."""

    extra: tuple[str, ...] = ()
    """Others that belong to the text and may be missing."""

    keep: tuple[str, ...] = ()
    """Others that it must have."""

    labels: tuple[str, ...] = ()
    """A TSV of two fields whose first line begins with one of these has no header, and the label
    before the text."""

    setting: str = "predict.text_column"
    """The setting that names the column of texts, for errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableLayout:
    """Where the wanted columns of a table are."""

    path: Location
    form: RowFormat
    encoding: str
    text: str
    label: str | None
    others: tuple[str, ...]
    header: tuple[str, ...] = ()
    """The names of the columns of a CSV, TSV or Parquet."""

    has_header: bool = True
    notices: tuple[str, ...] = field(default=())

    @property
    def read(self) -> tuple[str, ...]:
        """Every column that is read, by its name."""
        label = () if self.label is None else (self.label,)
        return tuple(dict.fromkeys((self.text, *label, *self.others)))


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table."""

    number: int
    """Counted from 0; blank lines are no rows."""

    values: Mapping[str, str]
    """The columns that could be read."""

    problem: str | None
    """Why there is no text, with the place; None if there is one."""


def find_layout(path: Location, wanted: WantedColumns, encoding: str = "auto") -> TableLayout:
    """Find the wanted columns of a table.

    A table's only column is that of the texts, and so is the other one of two if one is the
    label's.

    Args:
        path: CSV, TSV, JSON lines, Parquet, a JSON array, or ``.txt`` with a text in each line.
        wanted: The columns.
        encoding: The encoding of all formats but Parquet.

    Raises:
        DataError: If the file cannot be read, is of another format, or lacks a column.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        known = ", ".join(_FORMATS)
        raise DataError(f"{path}: rows are read from {known}: unpack it, or give it its suffix")
    plain = TableLayout(
        path=path,
        form=form,
        encoding=encoding,
        text=wanted.text,
        label=wanted.label,
        others=(*wanted.extra, *wanted.keep),
    )
    if form in ("json", "jsonl"):
        _require_text(plain, wanted)
        return plain
    if form == "lines":
        return _with(plain, wanted, (wanted.text,), label=None)
    names = _header(plain)
    if form == "tsv" and len(names) == 2 and names[0] in wanted.labels:
        label = wanted.label or "label"
        return _with(plain, wanted, (label, wanted.text), label=label, has_header=False)
    return _with_header(plain, wanted, names)


def _with_header(plain: TableLayout, wanted: WantedColumns, names: tuple[str, ...]) -> TableLayout:
    """The layout of a table with these names of columns."""
    label = wanted.label if wanted.label in names else None
    text = wanted.text
    notices: tuple[str, ...] = ()
    others = [name for name in names if name != label]
    if text not in names and len(others) == 1 and len(names) <= 2 and not wanted.keep:
        text = others[0]
        notices = (f"{plain.path} has no {wanted.text!r}: its column {text!r:.80} is read",)
    if text not in names:
        raise DataError(
            f"{plain.path} has no column {text!r}; it has {list_names(names)}; set {wanted.setting}"
        )
    return _with(plain, wanted, names, text=text, label=label, notices=notices)


def _with(
    plain: TableLayout,
    wanted: WantedColumns,
    names: tuple[str, ...],
    *,
    label: str | None,
    text: str | None = None,
    has_header: bool = True,
    notices: tuple[str, ...] = (),
) -> TableLayout:
    missing = [name for name in wanted.keep if name not in names]
    if missing:
        raise DataError(
            f"{plain.path} has no column {missing[0]!r}; it has {list_names(names)}; set "
            "predict.keep"
        )
    return TableLayout(
        path=plain.path,
        form=plain.form,
        encoding=plain.encoding,
        text=text or wanted.text,
        label=label,
        others=tuple(name for name in plain.others if name in names),
        header=names,
        has_header=has_header,
        notices=notices,
    )


def _header(layout: TableLayout) -> tuple[str, ...]:
    """The names of the columns, or the first line of a table without them."""
    path = layout.path
    if layout.form == "parquet":
        with file_errors(path):
            return tuple(map(str, open_parquet(_bytes_of(path), str(path)).schema_arrow.names))
    for _, fields, problem in _fields(layout):
        if fields is None:
            raise DataError(f"{path}: the first line is no header: {problem}")
        return tuple(name.strip() for name in fields)
    raise DataError(f"{path} is empty: it has no header")


def _require_text(layout: TableLayout, wanted: WantedColumns) -> None:
    """Raise if none of the first records of a JSON file has a text."""
    first = [(value, problem) for _, value, problem in islice(_values(layout), _PEEKED)]
    if not first:
        raise DataError(f"{layout.path} is empty: it has no record")
    if any(isinstance(value, dict) and layout.text in value for value, _ in first):
        return
    if any(isinstance(value, str) for value, _ in first):
        return
    value, problem = first[0]
    found = list_names(value) if isinstance(value, dict) else problem or "no object"
    raise DataError(
        f"{layout.path} has no {layout.text!r} in its first records; the first has {found}; set "
        f"{wanted.setting}"
    )


def read_rows(layout: TableLayout) -> Iterator[TableRow]:
    """Stream the rows of a table in their order.

    Raises:
        DataError: If the file itself cannot be read.
    """
    for number, (place, value, problem) in enumerate(_values(layout)):
        if problem is not None:
            yield TableRow(number, {}, f"{place}: {problem}")
        elif isinstance(value, str):
            yield _to_row(number, place, {layout.text: value}, layout)
        elif isinstance(value, dict):
            yield _to_row(number, place, value, layout)
        else:
            yield TableRow(number, {}, f"{place}: no object but {value!r:.40}")


def _to_row(number: int, place: str, found: Mapping[str, object], layout: TableLayout) -> TableRow:
    values: dict[str, str] = {}
    problem = None
    for name in layout.read:
        text, reason = _to_text(found.get(name))
        if reason is None:
            values[name] = text
        elif problem is None:
            problem = f"{place}: {name!r:.80} {reason}"
    if problem is None and not values[layout.text].strip():
        problem = f"{place}: {layout.text!r:.80} is blank"
    return TableRow(number, values, problem)


def _to_text(value: object) -> tuple[str, str | None]:
    """A value as text, empty for null; and why it is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "", None
    if isinstance(value, list | dict | bytes):
        return "", f"holds no text but {value!r:.40}"
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return "", f"has the byte 0x{code - 0xDC00:02x}, which predict.encoding does not have"
        return "", f"has half of a surrogate pair, \\u{code:04x}"
    return text, None


def _values(layout: TableLayout) -> Iterator[tuple[str, object, str | None]]:
    """Stream the place of each row and its value, or why it has none."""
    path = layout.path
    if layout.form == "parquet":
        with file_errors(path):
            parquet = open_parquet(_bytes_of(path), str(path), layout.read)
            for number, row in enumerate(iter_rows(parquet, layout.read, str(path))):
                yield f"row {number}", row, None
    elif layout.form == "json":
        records = read_record_file(
            path, "json", (layout.text,), encoding=layout.encoding,
            encoding_setting="predict.encoding",
        )  # fmt: skip
        yield from ((place, value, None) for place, value in records)
    elif layout.form in ("csv", "tsv"):
        yield from _table_values(layout)
    else:
        yield from _line_values(layout)


def _bytes_of(path: Location) -> Path | IO[bytes]:
    """A file in the form that PyArrow reads by ranges."""
    return path if isinstance(path, Path) else path.open("rb")


def _line_values(layout: TableLayout) -> Iterator[tuple[str, object, str | None]]:
    """The lines of a text, or the JSON values in them; blank ones are skipped."""
    for number, line in enumerate(_lines(layout), start=1):
        if not line.strip():
            continue
        if layout.form == "lines":
            yield f"line {number}", line.rstrip("\n"), None
            continue
        try:
            yield f"line {number}", json.loads(line), None
        except json.JSONDecodeError as error:
            yield f"line {number}", None, f"not valid JSON: {error.msg}"
        except (ValueError, RecursionError) as error:  # a huge number or very deep nesting
            yield f"line {number}", None, f"JSON that cannot be read: {_reason(error)}"


def _table_values(layout: TableLayout) -> Iterator[tuple[str, object, str | None]]:
    header = layout.header
    rows = _fields(layout)
    if layout.has_header:
        next(rows, None)
    for place, fields, problem in rows:
        if fields is None:
            yield place, None, problem
        elif len(fields) != len(header):
            yield place, None, f"{len(fields)} fields, the header has {len(header)}"
        else:
            yield place, dict(zip(header, fields, strict=True)), None


def _fields(layout: TableLayout) -> Iterator[tuple[str, Sequence[str] | None, str | None]]:
    """Stream the place of each row of a CSV or TSV with its fields, or why it has none.

    Raises:
        DataError: If a quote is never closed, or a field is longer than the limit.
    """
    limit = current_limits().cell_characters
    rows = field_reader(_lines(layout), "tsv" if layout.form == "tsv" else "csv")
    begin = 1  # the line in which the row that is being read begins
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            if _NEVER_CLOSED in str(error) or "field limit" in str(error):
                raise DataError(
                    f"{layout.path}, line {begin}: a quote that opens there is not closed, or a "
                    f"field is longer than {limit:,} characters: close it, or raise "
                    "limits.cell_characters"
                ) from error
            last = rows.line_num
            place = f"line {begin}" if last == begin else f"lines {begin} to {last}"
            yield place, None, f"not a valid row: {error}"
        else:
            if row is None:
                return
            if row:
                yield f"line {begin}", row, None
        begin = rows.line_num + 1


def _lines(layout: TableLayout) -> Iterator[str]:
    """Stream lines, in which bytes that cannot be decoded are halves of surrogate pairs."""
    with (
        file_errors(layout.path),
        layout.path.open("rb") as stream,
        open_text(
            stream, str(layout.path), layout.encoding,
            setting="predict.encoding", errors="surrogateescape",
        ) as text,
    ):  # fmt: skip
        yield from text


def _reason(error: Exception) -> str:
    """The text of an error without Python's advice to its programmer."""
    return str(error).partition(";")[0]
