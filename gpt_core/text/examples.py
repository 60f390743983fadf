"""Read examples for fine-tuning: labelled texts and instructions with answers."""

from dataclasses import dataclass
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.text.records import RecordFormat, read_record_file

_FORMATS: dict[str, RecordFormat] = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its label."""

    text: str
    label: str


def read_examples(
    path: Path, text_column: str = "text", label_column: str = "label"
) -> list[Example]:
    """Read the labelled texts of a CSV, TSV, JSON, JSON-lines or Parquet file.

    A TSV without a header has the label in its first column and the text in its second. A file of
    an unknown suffix is read as TSV. Labels that are numbers become text.

    Args:
        path: The file.
        text_column: Name of the column with the texts.
        label_column: Name of the column with the labels.

    Raises:
        DataError: If the file cannot be read, naming the place in it, lacks a column, or has fewer
            than two labels.
    """
    form = _FORMATS.get(path.suffix.lower(), "tsv")
    columns, headerless = (text_column, label_column), (label_column, text_column)
    examples = []
    for place, row in read_record_file(path, form, columns, headerless):
        values = row if isinstance(row, dict) else {}
        missing = next((column for column in columns if column not in values), None)
        if missing is not None:
            found = ", ".join(values) if isinstance(row, dict) else type(row).__name__
            raise DataError(f"{path}, {place} has no {missing!r}; it has {found}")
        examples.append(Example(str(values[text_column]), str(values[label_column])))
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        found = f"only the label {labels[0]!r}" if labels else "no example"
        raise DataError(f"{path} has {found}: a classifier needs at least two labels")
    return examples


@dataclass(frozen=True, slots=True)
class InstructionExample:
    """An instruction, its optional input, and the answer."""

    instruction: str
    input: str
    output: str


def read_instructions(path: Path) -> list[InstructionExample]:
    """Read the examples of a JSON array (``.json``) or of JSON lines (any other suffix).

    Raises:
        DataError: If the file cannot be read, or naming the first entry that lacks ``instruction``
            or ``output``, or holds anything but text.
    """
    form: RecordFormat = "json" if path.suffix.lower() == ".json" else "jsonl"
    examples = []
    for place, row in read_record_file(path, form, ("instruction", "output")):
        values = {"input": "", **row} if isinstance(row, dict) else {}
        for key in ("instruction", "input", "output"):
            if not isinstance(values.get(key), str):
                found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
                raise DataError(f"{path}, {place}: no text under {key!r}; it has {found}")
        examples.append(
            InstructionExample(values["instruction"], values["input"], values["output"])
        )
    if not examples:
        raise DataError(f"{path} holds no instruction")
    return examples
