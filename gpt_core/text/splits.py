"""Split examples for fine-tuning without leakage: equal and nearly equal ones stay in one split.

The validation and test splits keep the mix of labels that the source has. Nothing here needs torch,
so that a file which cannot be split is refused before anything starts.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic

from gpt_core.config import ClassificationConfig, InstructionConfig
from gpt_core.errors import DataError
from gpt_core.object_paths import Location
from gpt_core.text.corpus import SPLITS
from gpt_core.text.examples import (
    Example,
    ExampleFile,
    InstructionExample,
    Row,
    read_examples,
    read_instructions,
)
from gpt_core.text.leakage import drop_twins, drop_two_labels, group_rows

Held = Mapping[str, Location]
"""Files that are splits of their own, by ``validation`` and ``test``."""


@dataclass(frozen=True, slots=True)
class Splits(Generic[Row]):
    """Examples for training, for model selection and for the final metrics."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]

    def by_name(self) -> dict[str, list[Row]]:
        """The examples of each split by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


ExampleSplits = Splits[Example]
"""Splits of labelled texts."""
InstructionSplits = Splits[InstructionExample]
"""Splits of instructions."""


def read_example_splits(
    path: Location, config: ClassificationConfig, held: Held | None = None
) -> tuple[ExampleSplits, ExampleFile[Example]]:
    """Read labelled texts and split them; downsample the training split if that is configured.

    Args:
        path: The source.
        config: How it is read and split.
        held: The files of ``validation_source`` and ``test_source``, where these are set.

    Returns:
        The splits, and the source's examples with what is to be said about them.

    Raises:
        DataError: If a file cannot be read, see ``read_examples``, or a split lacks a label.
    """
    seed = config.seed if config.split_seed is None else config.split_seed
    columns = config.text_column, config.label_column
    own = {
        name: read_examples(file, *columns, config.encoding, labels=1)
        for name, file in (held or {}).items()
    }
    file = drop_two_labels(read_examples(path, *columns, config.encoding), config, path)
    file, left = _without_twins(file, own, config.near_duplicates, path)
    with _named(path):
        fractions = _fractions(config, own)
        groups = group_rows(left, config.near_duplicates, file)
        splits = split_examples(left, *fractions, seed, groups)
    splits = _with_own(splits, own)
    _require_known_labels(splits, held or {})
    if config.balance == "downsample":
        train = balance(splits.train, seed)
        splits = Splits(train, splits.validation, splits.test)
    return splits, file


def read_instruction_splits(
    path: Location, config: InstructionConfig, held: Held | None = None
) -> tuple[InstructionSplits, ExampleFile[InstructionExample]]:
    """Read instructions and split them; see ``read_example_splits``.

    Raises:
        DataError: If a file cannot be read, see ``read_instructions``, or a split is empty.
    """
    own = {n: read_instructions(file, config.encoding) for n, file in (held or {}).items()}
    file = read_instructions(path, config.encoding)
    file, left = _without_twins(file, own, config.near_duplicates, path)
    with _named(path):
        fractions = _fractions(config, own)
        groups = group_rows(left, config.near_duplicates, file)
        splits = split_instructions(left, *fractions, config.seed, groups)
    return _with_own(splits, own), file


def balance(examples: Sequence[Example], seed: int) -> list[Example]:
    """Undersample every label to the count of the rarest one, at random, keeping the order."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_label[example.label].append(index)
    rarest = min(map(len, by_label.values()))
    rng = random.Random(seed)
    kept = [i for label in sorted(by_label) for i in rng.sample(by_label[label], rarest)]
    return [examples[i] for i in sorted(kept)]


def label_weights(examples: Sequence[Example]) -> dict[str, float]:
    """The weight of each label's loss by which all labels count the same.

    It is n / (K * n_label) for n examples of K labels, so that the mean weight of the examples is
    1; scikit-learn calls it ``balanced``.

    Example:
        >>> label_weights([Example("a", "spam")] + 3 * [Example("b", "ham")])
        {'spam': 2.0, 'ham': 0.6666666666666666}
    """
    counts = Counter(example.label for example in examples)
    return {label: len(examples) / (len(counts) * n) for label, n in counts.items()}


def split_examples(
    examples: Sequence[Example],
    validation_share: float,
    test_share: float,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> ExampleSplits:
    """Split examples at random, stratified by label; those of a group stay in one split.

    Args:
        examples: All examples.
        validation_share: Fraction of the examples of each label for validation.
        test_share: Fraction of the examples of each label for test.
        seed: Seed of the shuffle.
        groups: The group of each example; None groups equal texts.

    Raises:
        DataError: If a split has no example of a label.
    """
    rng = random.Random(seed)
    by_label: dict[str, list[list[Example]]] = defaultdict(list)
    for members in _members(examples, groups or [example.text for example in examples]):
        counts = Counter(example.label for example in members)
        by_label[min(counts, key=lambda label: (-counts[label], label))].append(members)
    parts: dict[str, list[Example]] = {name: [] for name in SPLITS}
    for label in sorted(by_label):
        for name, chosen in _deal(by_label[label], validation_share, test_share, rng).items():
            parts[name] += chosen
    for part in parts.values():
        rng.shuffle(part)
    fractions = {"train": 1.0, "validation": validation_share, "test": test_share}
    _require_all_labels(parts, fractions, by_label)
    return Splits(**parts)


def split_instructions(
    examples: Sequence[InstructionExample],
    validation_share: float,
    test_share: float,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> InstructionSplits:
    """Split examples at random; those of a group stay in one split.

    Args:
        examples: All examples.
        validation_share: Fraction of the examples for validation.
        test_share: Fraction of the examples for test.
        seed: Seed of the shuffle.
        groups: The group of each example; None groups those with equal instruction and input.

    Raises:
        DataError: If the training split, or another of a nonzero fraction, is empty.
    """
    groups = groups or [(example.instruction, example.input) for example in examples]
    rng = random.Random(seed)
    parts = _deal(_members(examples, groups), validation_share, test_share, rng)
    for name, fraction in zip(SPLITS, (1.0, validation_share, test_share), strict=True):
        if not parts[name] and fraction > 0:
            raise DataError(
                f"{len(examples)} examples leave none for the {name} part: give more"
                f"{_other_groups(len(examples), set(groups))}"
            )
    return Splits(**parts)


def _members(examples: Sequence[Row], groups: Sequence[Hashable]) -> list[list[Row]]:
    """The examples of each group, in the order of the first ones."""
    members: dict[Hashable, list[Row]] = defaultdict(list)
    for example, group in zip(examples, groups, strict=True):
        members[group].append(example)
    return list(members.values())


def _deal(
    groups: list[list[Row]], validation_share: float, test_share: float, rng: random.Random
) -> dict[str, list[Row]]:
    """Deal shuffled groups to the splits, by numbers of examples.

    A group that is larger than what a split still lacks is passed over, and is trained on in the
    end. A split that would get nothing takes the smallest group, while two are left.
    """
    rng.shuffle(groups)
    total = sum(map(len, groups))
    parts: dict[str, list[Row]] = {name: [] for name in SPLITS}
    for name, fraction in (("test", test_share), ("validation", validation_share)):
        size, left = round(total * fraction), []
        for group in groups:
            if len(parts[name]) + len(group) <= size:
                parts[name] += group
            else:
                left.append(group)
        groups = left
        if size and not parts[name] and len(groups) > 1:
            parts[name] += groups.pop(min(range(len(groups)), key=lambda i: len(groups[i])))
    parts["train"] = [example for group in groups for example in group]
    return parts


def _fractions(
    config: ClassificationConfig | InstructionConfig, own: Mapping[str, object]
) -> tuple[float, float]:
    """The fractions for validation and test, 0 for a split that has a file of its own."""
    return (
        0.0 if "validation" in own else config.validation_share,
        0.0 if "test" in own else config.test_share,
    )


def _without_twins(
    file: ExampleFile[Row],
    own: Mapping[str, ExampleFile[Row]],
    threshold: float | None,
    path: Location,
) -> tuple[ExampleFile[Row], list[Row]]:
    """The source's examples that are not nearly those of a file for validation or test."""
    left = file.rows
    for name, held in own.items():
        for notice in held.notices:
            file.notices.append(notice)
        left = drop_twins(left, held.rows, threshold, file, f"the {name} part's", path)
    return file, left


def _with_own(splits: Splits[Row], own: Mapping[str, ExampleFile[Row]]) -> Splits[Row]:
    """The splits, with those that have a file of their own."""
    rows = {name: file.rows for name, file in own.items()}
    return Splits(**{**splits.by_name(), **rows})


@contextmanager
def _named(path: Location) -> Iterator[None]:
    """Name the file in an error."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _require_known_labels(splits: ExampleSplits, held: Held) -> None:
    known = {example.label for example in splits.train}
    for name, file in held.items():
        unknown = sorted({example.label for example in splits.by_name()[name]} - known)
        if unknown:
            raise DataError(
                f"{file} has the label {unknown[0]!r:.80}, which no training example has: "
                f"there are {', '.join(map(repr, sorted(known)))!s:.200}"
            )


def _require_all_labels(
    parts: Mapping[str, Sequence[Example]],
    fractions: Mapping[str, float],
    groups: Mapping[str, Collection[object]],
) -> None:
    counts = Counter(example.label for part in parts.values() for example in part)
    for name, part in parts.items():
        missing = sorted(counts.keys() - {example.label for example in part})
        if missing and fractions[name] > 0:
            label, n = missing[0], counts[missing[0]]
            raise DataError(
                f"the {name} part has no example of {label!r:.80}, of which there are {n}: give "
                f"more examples or other fractions{_other_groups(n, range(len(groups[label])))}"
            )


def _other_groups(n_examples: int, groups: Collection[Hashable]) -> str:
    """The advice where few groups of many examples cannot be dealt out."""
    if not groups or 2 * len(groups) > n_examples:
        return ""
    return f" (near duplicates stay together, and these are only {len(groups):,} different ones)"
