"""Labelled texts for classification: read, balance, split without leakage, pad.

Shapes: B batch, T time.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.text import SPLITS, RecordFormat, read_record_file
from gpt_core.tokenizers import Tokenizer

_FORMATS: dict[str, RecordFormat] = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its label."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class ExampleSplits:
    """Examples for training, for model selection and for the final metrics."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


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


def balance(examples: Sequence[Example], seed: int) -> list[Example]:
    """Undersample every label to the count of the rarest one, at random, keeping the order."""
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
    """Split examples at random, stratified by label; equal texts stay in one split.

    Args:
        examples: All examples.
        validation_share: Fraction of the distinct texts of each label for validation.
        test_share: Fraction of the distinct texts of each label for test.
        seed: Seed of the shuffle.

    Raises:
        DataError: If a split has no example of a label.
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


def _require_all_labels(parts: Sequence[Sequence[Example]], fractions: Sequence[float]) -> None:
    labels = {example.label for part in parts for example in part}
    for name, part, fraction in zip(SPLITS, parts, fractions, strict=True):
        missing = sorted(labels - {example.label for example in part})
        if missing and fraction > 0:
            counts = Counter(example.label for other in parts for example in other)
            raise DataError(
                f"the {name} part has no example of {missing[0]!r}, of which there are "
                f"{counts[missing[0]]}: give more examples or other fractions"
            )


def encode_texts(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> list[list[int]]:
    """Encode texts, truncated to ``max_tokens``; an empty text becomes one end-of-document id."""
    return [ids[:max_tokens] or [tokenizer.eos_id] for ids in tokenizer.encode_batch(texts)]


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Pad rows at the end to the length of the longest.

    Returns:
        Ids of shape (B, T) and the unpadded lengths of shape (B,), both int64.
    """
    lengths = torch.tensor([len(row) for row in rows])
    token_ids = torch.full((len(rows), int(lengths.max())), pad_id)
    for index, row in enumerate(rows):
        token_ids[index, : len(row)] = torch.tensor(row)
    return token_ids, lengths
