"""Read the answers that are judged: the test answers of a checkpoint, or a file."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.config import JudgeConfig
from gpt_core.errors import DataError
from gpt_core.judging.prompts import Item
from gpt_core.text import RecordFormat, local_path, read_record_file

ANSWERS = "answers.parquet"
"""The file of a checkpoint with the answers to its test instructions."""

_FORMATS: dict[str, RecordFormat] = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet",
}  # fmt: skip


def read_answers(answers: Artifact, config: JudgeConfig) -> list[Item]:
    """Read the answers of a checkpoint or of a registered file.

    Args:
        answers: A checkpoint that was fine-tuned on instructions, or a raw artifact.
        config: The names of a file's columns.

    Raises:
        DataError: If there are none, or the file cannot be read.
    """
    if answers.kind != "checkpoint":
        return read_answer_file(local_path(answers), config)
    file = answers.directory / ANSWERS
    if not file.is_file():
        raise DataError(
            f"{answers.directory} has no {ANSWERS}: give a checkpoint that gptflow instruct made, "
            "or a file with --answers"
        )
    return read_answer_file(file, JudgeConfig())


def read_answer_file(path: Path, config: JudgeConfig) -> list[Item]:
    """Read a table of answers; a row without an answer is an empty one, which counts as worst.

    Raises:
        DataError: If it cannot be read as what its suffix says, or naming the row or column that
            is missing.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path}: answers are read from {', '.join(_FORMATS)}")
    settings = {
        config.reference_column: "judge.reference_column",
        config.answer_column: "judge.answer_column",
    }
    needed = ("instruction", *settings)
    try:
        rows = list(read_record_file(path, form, (*needed, "input"), settings=settings))
    except DataError:  # perhaps because there is no input; else the same error comes again
        rows = list(read_record_file(path, form, needed, settings=settings))
    return list(_items(path, rows, needed, config))


def _items(
    path: Path, rows: Sequence[tuple[str, object]], needed: Sequence[str], config: JudgeConfig
) -> Iterator[Item]:
    for place, row in rows:
        values = row if isinstance(row, dict) else {}
        missing = next((name for name in needed if name not in values), None)
        if missing is not None:
            found = ", ".join(map(str, values)) or type(row).__name__
            raise DataError(f"{path}, {place} has no {missing!r}; it has {found:.200}")
        texts = {name: _text(values, name, f"{path}, {place}") for name in (*needed, "input")}
        if not texts["instruction"].strip():
            raise DataError(f"{path}, {place}: the instruction is blank")
        yield Item(
            instruction=texts["instruction"],
            input=texts["input"],
            reference=texts[config.reference_column],
            answer=texts[config.answer_column],
        )


def _text(values: Mapping[str, object], name: str, where: str) -> str:
    """A value as text that can be written as UTF-8; empty for null."""
    value = values.get(name)
    if value is None or value != value:  # not a number, by which tables say null
        return ""
    if not isinstance(value, str | int | float):
        raise DataError(f"{where}: {name!r} holds no text but {value!r:.40}")
    return str(value).encode("utf-8", "replace").decode()


def match_answers(items: Sequence[Item], others: Sequence[Item]) -> list[str | None]:
    """For each item the other answer to the same instruction and input; None where there is none.

    Where an instruction is there several times, its answers are used in their order.
    """
    waiting: dict[tuple[str, str], list[str]] = {}
    for other in others:
        waiting.setdefault((other.instruction, other.input), []).append(other.answer)
    found: list[str | None] = []
    for item in items:
        answers = waiting.get((item.instruction, item.input), [])
        found.append(answers.pop(0) if len(answers) > 1 else next(iter(answers), None))
    return found
