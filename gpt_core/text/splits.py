"""Split examples for fine-tuning without leakage: equal texts stay in one split.

Nothing here needs torch, so that a file which cannot be split is refused before anything starts.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gpt_core.config import ClassificationConfig, InstructionConfig
from gpt_core.errors import DataError
from gpt_core.text.corpus import SPLITS
from gpt_core.text.examples import (
    Example,
    ExampleFile,
    InstructionExample,
    read_examples,
    read_instructions,
)


@dataclass(frozen=True, slots=True)
class ExampleSplits:
    """Examples for training, for model selection and for the final metrics."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]

    def by_name(self) -> dict[str, list[Example]]:
        """The examples of each split by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, slots=True)
class InstructionSplits:
    """Examples for training, for the validation loss and to be answered by the final model."""

    train: list[InstructionExample]
    validation: list[InstructionExample]
    test: list[InstructionExample]


def read_example_splits(
    path: Path, config: ClassificationConfig
) -> tuple[ExampleSplits, ExampleFile[Example]]:
    """Read labelled texts, balance them if that is configured, and split them.

    Returns:
        The splits, and the file's examples before balancing.

    Raises:
        DataError: If the file cannot be read, see ``read_examples``, or a split lacks a label.
    """
    file = read_examples(path, config.text_column, config.label_column)
    seed = config.seed if config.split_seed is None else config.split_seed
    rows = balance(file.rows, seed) if config.balanced else file.rows
    counts = Counter(example.label for example in file.rows)
    rarest, n_rarest = min(counts.items(), key=lambda item: item[1])
    hint = ""
    if config.balanced and n_rarest < max(counts.values()):
        hint = (
            f"; the rarest label is {rarest!r:.80} with {n_rarest}, and "
            "classification.balanced=true leaves no more of any"
        )
    with _named(path, hint):
        fractions = config.validation_share, config.test_share
        return split_examples(rows, *fractions, seed), file


def read_instruction_splits(
    path: Path, config: InstructionConfig
) -> tuple[InstructionSplits, ExampleFile[InstructionExample]]:
    """Read instructions and split them.

    Returns:
        The splits, and the file's examples.

    Raises:
        DataError: If the file cannot be read, see ``read_instructions``, or a split is empty.
    """
    file = read_instructions(path)
    with _named(path):
        fractions = config.validation_share, config.test_share
        return split_instructions(file.rows, *fractions, config.seed), file


@contextmanager
def _named(path: Path, hint: str = "") -> Iterator[None]:
    """Name the file in an error, and add a hint."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}{hint}") from error


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
                f"the {name} part has no example of {missing[0]!r:.80}, of which there are "
                f"{counts[missing[0]]}: give more examples or other fractions"
            )


def split_instructions(
    examples: Sequence[InstructionExample], validation_share: float, test_share: float, seed: int
) -> InstructionSplits:
    """Split examples at random; those with equal instruction and input stay in one split.

    Raises:
        DataError: If the training split, or another of a nonzero fraction, is empty.
    """
    same: dict[tuple[str, str], list[InstructionExample]] = defaultdict(list)
    for example in examples:
        same[example.instruction, example.input].append(example)
    groups = list(same.values())
    random.Random(seed).shuffle(groups)
    n_validation, n_test = (round(len(groups) * s) for s in (validation_share, test_share))
    cuts = {
        "train": (groups[n_validation + n_test :], 1.0),
        "validation": (groups[:n_validation], validation_share),
        "test": (groups[n_validation : n_validation + n_test], test_share),
    }
    for name, (chosen, fraction) in cuts.items():
        if not chosen and fraction > 0:
            raise DataError(f"{len(examples)} examples leave none for the {name} part: give more")
    flat = {name: [e for group in chosen for e in group] for name, (chosen, _) in cuts.items()}
    return InstructionSplits(**flat)
