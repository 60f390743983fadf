"""Labelled texts: read, balanced, split without leaks, padded.

Shapes: B batch, T time.
"""

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.files import read_json
from gpt_core.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Example:
    """One text with its label."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class ExampleSplits:
    """Examples for training, for choosing and for the final figures."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


def read_examples(
    path: Path, text_column: str = "text", label_column: str = "label"
) -> list[Example]:
    """The labelled texts of a table.

    CSV is quoted and has a header; TSV is not quoted, and without a header its first column is
    the label and its second the text. JSON, JSONL and Parquet go by key.

    Args:
        path: The file.
        text_column: Name of the texts' column.
        label_column: Name of the labels' column.

    Raises:
        DataError: Naming the line, the columns there are, or that there is only one label.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            rows = pq.read_table(path).to_pylist()
        elif suffix in (".json", ".jsonl"):
            rows = read_json_rows(path)
        else:
            rows = _read_table(path, text_column, label_column)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: byte {error.start} cannot be read") from error
    examples = [
        Example(str(_cell(row, text_column, path, n)), str(_cell(row, label_column, path, n)))
        for n, row in enumerate(rows, start=1)
    ]
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        found = f"only the label {labels[0]!r}" if labels else "no example"
        raise DataError(f"{path} has {found}: a classifier needs at least two labels")
    return examples


def read_json_rows(path: Path) -> list[dict[str, object]]:
    """The objects of a JSON array or of JSON lines.

    Raises:
        DataError: Naming the line or that there is no array.
    """
    if path.suffix.lower() == ".json":
        rows = read_json(path)
        if not isinstance(rows, list):
            raise DataError(f"{path} must hold a JSON array of objects")
        return rows
    import json

    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: not valid JSON: {error.msg}") from error
    return rows


def _read_table(path: Path, text_column: str, label_column: str) -> list[dict[str, str]]:
    quoted = path.suffix.lower() == ".csv"
    with path.open(encoding="utf-8-sig", newline="" if quoted else None) as file:
        if quoted:
            rows = list(csv.reader(file, strict=True))
        else:
            rows = [line.rstrip("\n").split("\t") for line in file if line.strip("\n")]
    if not rows:
        raise DataError(f"{path} is empty: it should hold a table of texts and labels")
    header = [name.strip() for name in rows[0]]
    if {text_column, label_column} <= set(header):
        rows = rows[1:]
    elif quoted or len(header) != 2:
        missing = text_column if text_column not in header else label_column
        raise DataError(f"{path} has no column {missing!r}; it has {', '.join(header)}")
    else:
        header = [label_column, text_column]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise DataError(f"{path}, row {number}: {len(row)} fields where {len(header)} belong")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _cell(row: dict[str, object], column: str, path: Path, number: int) -> object:
    if not isinstance(row, dict) or column not in row:
        there = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise DataError(f"{path}, row {number} has no {column!r}; it has {there}")
    return row[column]


def balance(examples: Sequence[Example], seed: int) -> list[Example]:
    """As many examples of each label as the rarest label has, drawn at random, order kept."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_label[example.label].append(index)
    rarest = min(map(len, by_label.values()))
    rng = random.Random(seed)
    kept = [i for label in sorted(by_label) for i in rng.sample(by_label[label], rarest)]
    return [examples[i] for i in sorted(kept)]


def split_examples(
    examples: Sequence[Example], validation_share: float, test_share: float, seed: int
) -> ExampleSplits:
    """Three parts with the same mix of labels; equal texts always fall into the same part.

    Args:
        examples: All of them.
        validation_share: Share of the second part.
        test_share: Share of the third part.
        seed: Of the rng.

    Raises:
        DataError: If a part would lack a label.
    """
    parts: tuple[list[Example], ...] = ([], [], [])
    rng = random.Random(seed)
    by_label: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    first_label: dict[str, str] = {}
    for example in examples:
        label = first_label.setdefault(example.text, example.label)
        by_label[label][example.text].append(example)
    for label in sorted(by_label):
        texts = list(by_label[label].values())
        rng.shuffle(texts)
        n_validation, n_test = (round(len(texts) * s) for s in (validation_share, test_share))
        cuts = (texts[n_validation + n_test :], texts[:n_validation])
        for part, chosen in zip(parts, (*cuts, texts[n_validation:][:n_test]), strict=True):
            part.extend(example for same in chosen for example in same)
    for part in parts:
        rng.shuffle(part)
    _require_all_labels(parts, (1.0, validation_share, test_share))
    return ExampleSplits(*parts)


def _require_all_labels(parts: Sequence[Sequence[Example]], shares: Sequence[float]) -> None:
    labels = {example.label for part in parts for example in part}
    for name, part, share in zip(("train", "validation", "test"), parts, shares, strict=True):
        missing = sorted(labels - {example.label for example in part})
        if missing and share > 0:
            counts = Counter(example.label for other in parts for example in other)
            raise DataError(
                f"the {name} part has no example of {missing[0]!r}, of which there are "
                f"{counts[missing[0]]}: give more examples or other shares"
            )


def encode_texts(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> list[list[int]]:
    """The ids of each text, cut to ``max_tokens``; an empty text becomes one end-of-document id."""
    return [ids[:max_tokens] or [tokenizer.eos_id] for ids in tokenizer.encode_batch(texts)]


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Rows filled up at the end to the longest.

    Returns:
        Ids of shape (B, T) and the rows' real lengths of shape (B,), both int64.
    """
    lengths = torch.tensor([len(row) for row in rows])
    token_ids = torch.full((len(rows), int(lengths.max())), pad_id)
    for index, row in enumerate(rows):
        token_ids[index, : len(row)] = torch.tensor(row)
    return token_ids, lengths
