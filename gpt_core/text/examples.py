"""Read examples for fine-tuning: labelled texts and instructions with answers.

A row whose text, label or instruction is null, empty or blank, or whose answer is null, is left out
and counted. If that is so of more than ``limits.blank_rows`` of the rows, a tenth, the file is
refused: another column may be meant. An empty answer is one: the model learns to say nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from gpt_core.config import current_limits
from gpt_core.errors import DataError
from gpt_core.text.records import RecordFormat, read_record_file, require_unicode

_FORMATS: dict[str, RecordFormat] = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip

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


@dataclass(frozen=True, slots=True)
class ExampleFile(Generic[Row]):
    """The examples of a file, and what was left out of it."""

    rows: list[Row]
    n_left_out: int
    """Rows that lack a value."""

    notice: str
    """A sentence on the rows that are left out; empty if there are none."""


def read_examples(
    path: Path, text_column: str = "text", label_column: str = "label"
) -> ExampleFile[Example]:
    """Read the labelled texts of a CSV, TSV, JSON, JSON-lines or Parquet file.

    A TSV without a header has the label in its first column and the text in its second. A file of
    an unknown suffix is read as TSV. Values that are numbers become text, and white space around a
    label is not part of it.

    Args:
        path: The file.
        text_column: Name of the column with the texts.
        label_column: Name of the column with the labels.

    Raises:
        DataError: If the file cannot be read, naming the place in it, lacks a column, has too many
            rows without a text or a label, or has fewer than two labels.
    """
    form = _form_of(path)
    columns, headerless = (text_column, label_column), (label_column, text_column)
    settings = {
        text_column: "classification.text_column",
        label_column: "classification.label_column",
    }
    examples, blanks = [], _Blanks(path, settings)
    for place, row in read_record_file(path, form, columns, headerless, settings):
        where = f"{path}, {place}"
        values = row if isinstance(row, dict) else {}
        missing = next((column for column in columns if column not in values), None)
        if missing is not None:
            found = ", ".join(values) if isinstance(row, dict) else type(row).__name__
            raise DataError(f"{where} has no {missing!r}; it has {found}; set {settings[missing]}")
        text, label = (_to_text(values[column], column, where) for column in columns)
        if not blanks.count(place, {text_column: text, label_column: label}):
            examples.append(Example(text, label.strip()))
    read = blanks.report(examples)
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        found = f"only the label {labels[0]!r:.80}" if labels else "no example"
        raise DataError(f"{path} has {found}: a classifier needs at least two labels")
    return read


def read_instructions(path: Path) -> ExampleFile[InstructionExample]:
    """Read the examples of a JSON array (``.json``) or of JSON lines (any other suffix).

    Raises:
        DataError: If the file cannot be read, has too many entries with a blank ``instruction`` or
            a null ``output``, or naming the first entry that lacks one or holds anything but text.
    """
    if path.suffix.lower() in (*_PACKED, ".csv", ".tsv", ".parquet"):
        raise DataError(f"{path}: instructions are read from JSON (.json) or JSON lines (.jsonl)")
    form: RecordFormat = "json" if path.suffix.lower() == ".json" else "jsonl"
    examples, blanks = [], _Blanks(path, {})
    for place, row in read_record_file(path, form, ("instruction", "output")):
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


def _form_of(path: Path) -> RecordFormat:
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

    path: Path
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
            return ExampleFile(rows, 0, "")
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
        return ExampleFile(rows, self.n_rows, f"{sentence}: they are left out")
