"""Labelled texts for classification: balance, split without leakage, pad.

Shapes: B batch, T time.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.text import SPLITS, Example
from gpt_core.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class ExampleSplits:
    """Examples for training, for model selection and for the final metrics."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


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
