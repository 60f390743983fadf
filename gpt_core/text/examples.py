"""Read examples for fine-tuning: labelled texts and instructions with answers.

Labelled texts are tables, lines or folders (``labelled_lines``), instructions are tables.

A row whose text, label or instruction is null, empty or blank, or whose answer is null, is left out
and counted. If that is so of more than ``limits.blank_rows`` of the rows, a tenth, the file is
refused: another column may be meant. An empty answer is one: the model learns to say nothing.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gpt_core.config import current_limits
from gpt_core.errors import DataError
from gpt_core.object_paths import Location
from gpt_core.text.labelled_lines import read_folder, read_lines, sniff_lines
from gpt_core.text.records import (
    RecordFormat,
    read_column_names,
    read_record_file,
    require_unicode,
)

_FORMATS: dict[str, RecordFormat] = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet",
}  # fmt: skip

_COLUMN_SETTINGS = ("classification.text_column", "classification.label_column")
_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".tar", ".xlsx", ".xls", ".ods")


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its label."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class InstructionExample:
    """An instruction, its optional input, and the answer."""

    instruction: str
    input: str
    output: str


Row = TypeVar("Row", Example, InstructionExample)
"""An example of one of the two kinds."""


@dataclass(frozen=True, slots=True)
class ExampleFile(Generic[Row]):
    """The examples of a file, and notices about them."""

    rows: list[Row]
    n_left_out: int
    """Rows that lack a value."""

    notices: list[str] = field(default_factory=list)
    """Sentences on rows that are left out and the like."""

    counts: dict[str, int] = field(default_factory=dict)
    """The numbers in the notices, by the names of metrics."""


def read_examples(
    path: Location,
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "auto",
    *,
    labels: int = 2,
) -> ExampleFile[Example]:
    """Read the labelled texts of a table, of lines, or of a folder.

    A TSV without a header has the label in its first column and the text in its second. In a table
    of two columns one of which has its name, the other is the other. A file of an unknown suffix is
    read as TSV, or as lines of ``label text`` if it has no tabs. Values that are numbers become
    text, and white space around a label is not part of it.

    Args:
        path: The file or folder.
        text_column: Name of the column with the texts.
        label_column: Name of the column with the labels.
        encoding: Encoding of the files, see ``open_text``.
        labels: The least number of labels.

    Raises:
        DataError: If a file cannot be read, naming the place in it, lacks a column, has too many
            rows without a text or a label, or has fewer labels.
    """
    settings = dict(zip((text_column, label_column), _COLUMN_SETTINGS, strict=True))
    examples, blanks = [], _Blanks(path, settings)
    notices: list[str] = []
    for place, label, text in _labelled(path, (text_column, label_column), encoding, notices):
        if not blanks.count(place, {text_column: text, label_column: label}):
            examples.append(Example(text, label.strip()))
    read = blanks.report(examples)
    read.notices.extend(notices)
    found = sorted({example.label for example in examples})
    if len(found) < labels:
        what = f"only the label {found[0]!r:.80}" if found else "no example"
        need = "at least two labels" if labels > 1 else "labelled texts"
        raise DataError(f"{path} has {what}: a classifier needs {need}")
    return read


def _labelled(
    path: Location, columns: tuple[str, str], encoding: str, notices: list[str]
) -> Iterator[tuple[str, str, str]]:
    """The place, label and text of each row of any form."""
    setting = "classification.encoding"
    if path.is_dir():
        yield from read_folder(path, encoding, setting)
        return
    form = _form_of(path)
    if form == "tsv":
        sniffed = sniff_lines(path, encoding, setting)
        if sniffed == "fasttext" or (sniffed and path.suffix.lower() != ".tsv"):
            yield from read_lines(path, sniffed, encoding, setting)
            return
    yield from _rows_of_table(path, form, columns, encoding, notices)


def _rows_of_table(
    path: Location,
    form: RecordFormat,
    columns: tuple[str, str],
    encoding: str,
    notices: list[str],
) -> Iterator[tuple[str, str, str]]:
    names = read_column_names(path, form, encoding)
    known = [column in names for column in columns]
    if len(names) == 2 and any(known) and not all(known):
        other = names[1 - names.index(columns[known.index(True)])]
        missing = known.index(False)
        notices.append(f"{path} has no {columns[missing]!r}: its column {other!r} is read")
        columns = (other, columns[1]) if missing == 0 else (columns[0], other)
    settings = dict(zip(columns, _COLUMN_SETTINGS, strict=True))
    headerless = (columns[1], columns[0])
    rows = read_record_file(
        path,
        form,
        columns,
        headerless,
        settings,
        encoding=encoding,
        encoding_setting="classification.encoding",
    )
    for place, row in rows:
        where = f"{path}, {place}"
        values = row if isinstance(row, dict) else {}
        absent = next((column for column in columns if column not in values), None)
        if absent is not None:
            found = ", ".join(values) if isinstance(row, dict) else type(row).__name__
            raise DataError(f"{where} has no {absent!r}; it has {found}; set {settings[absent]}")
        text, label = (_to_text(values[column], column, where) for column in columns)
        yield place, label, text


def read_instructions(path: Location, encoding: str = "auto") -> ExampleFile[InstructionExample]:
    """Read instructions: a JSON array, JSON lines (any unknown suffix), CSV, TSV or Parquet.

    Args:
        path: The file.
        encoding: Its encoding, see ``open_text``.

    Raises:
        DataError: If the file cannot be read, has too many entries with a blank ``instruction`` or
            a null ``output``, or naming the first entry that lacks one or holds anything but text.
    """
    if path.suffix.lower() in _PACKED:
        raise DataError(
            f"{path}: instructions are read from .json, .jsonl, .csv, .tsv and .parquet: unpack it"
        )
    form = _FORMATS.get(path.suffix.lower(), "jsonl")
    examples, blanks = [], _Blanks(path, {})
    rows = read_record_file(
        path,
        form,
        ("instruction", "output"),
        encoding=encoding,
        encoding_setting="instruction.encoding",
        optional=("input",),
    )
    for place, row in rows:
        values = {"input": None, **row} if isinstance(row, dict) else {}
        for key in ("instruction", "input", "output"):
            if key not in values or not isinstance(values[key], str | None):
                found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
                raise DataError(f"{path}, {place}: no text under {key!r}; it has {found}")
        instruction, given, output = (
            _to_text(values[key], key, f"{path}, {place}")
            for key in ("instruction", "input", "output")
        )
        answer = "there is one, maybe empty" if values["output"] is not None else None
        if not blanks.count(place, {"instruction": instruction, "output": answer}):
            examples.append(InstructionExample(instruction, given, output))
    read = blanks.report(examples)
    if not examples:
        raise DataError(f"{path} holds no instruction")
    return read


def _form_of(path: Location) -> RecordFormat:
    suffix = path.suffix.lower()
    if suffix in _PACKED:
        known = ", ".join(_FORMATS)
        raise DataError(f"{path}: a table of examples is read from .tsv, {known}: unpack it")
    return _FORMATS.get(suffix, "tsv")


def _to_text(value: object, column: str, where: str) -> str:
    """A value as text; empty for null and for the not-a-number by which tables say null."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list | dict | bytes):
        raise DataError(f"{where}: {column!r} holds no text but {value!r:.40}")
    text = str(value)
    require_unicode(text, f"{where}: {column!r}")
    return text


@dataclass(slots=True)
class _Blanks:
    """Counts the rows of a file that lack a value."""

    path: Location
    settings: Mapping[str, str]
    """The setting that names each column, for errors."""

    n_rows: int = 0
    first: dict[str, str] = field(default_factory=dict)
    """The first place of each column that lacks a value."""

    def count(self, place: str, values: Mapping[str, str | None]) -> bool:
        """Count the row if a value is null or blank; returns whether it is."""
        blank = [name for name, value in values.items() if not (value and value.strip())]
        for name in blank:
            self.first.setdefault(name, place)
        self.n_rows += bool(blank)
        return bool(blank)

    def report(self, rows: list[Row]) -> ExampleFile[Row]:
        """The other rows with a notice; an error if these are too many."""
        if not self.n_rows:
            return ExampleFile(rows, 0)
        total = self.n_rows + len(rows)
        names = " or ".join(f"{name!r} (first {place})" for name, place in self.first.items())
        sentence = f"{self.n_rows:,} of {total:,} rows of {self.path} have no {names}"
        if self.n_rows > current_limits().blank_rows * total:
            settings = " and ".join(self.settings[n] for n in self.first if n in self.settings)
            advice = f", set {settings}" if settings else ""
            raise DataError(
                f"{sentence}: give each row a value, or remove it{advice}, or raise "
                "limits.blank_rows"
            )
        return ExampleFile(rows, self.n_rows, [f"{sentence}: they are left out"])
