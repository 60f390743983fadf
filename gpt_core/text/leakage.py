"""Keep training apart from validation and test: near duplicates and texts of two labels.

Each function adds a sentence to the notices of an ``ExampleFile``, and a count to its counts.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from gpt_core.config import ClassificationConfig
from gpt_core.errors import DataError
from gpt_core.object_paths import Location
from gpt_core.text.examples import Example, ExampleFile, InstructionExample, Row
from gpt_core.text.near_duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    merge_groups,
    words_of,
)
from gpt_core.text.preferences import PreferencePair


def compared_text(row: Example | InstructionExample) -> str:
    """The text by which near duplicates are found."""
    if isinstance(row, Example):
        return row.text
    return f"{row.instruction}\n{row.input}\n{row.output}"


def asked_text(row: Example | InstructionExample | PreferencePair) -> str:
    """The input of the model: two examples with the same never are in different splits."""
    return row.text if isinstance(row, Example) else f"{row.instruction}\n{row.input}"


def drop_two_labels(
    file: ExampleFile[Example], config: ClassificationConfig, path: Location
) -> ExampleFile[Example]:
    """Leave out texts that have several labels, or keep them; either way say how many there are.

    Raises:
        DataError: If fewer than two labels are left.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for row in file.rows:
        labels[row.text].add(row.label)
    doubtful = {text for text, found in labels.items() if len(found) > 1}
    if not doubtful:
        return file
    left = [row for row in file.rows if row.text not in doubtful]
    n_rows = len(file.rows) - len(left)
    fate = "left out" if config.two_labels == "leave-out" else "kept"
    sentence = (
        f"{len(doubtful):,} texts of {path} have several labels, such as "
        f"{min(doubtful)!r:.60}: their {n_rows:,} rows are {fate}"
    )
    file.notices.append(f"{sentence} (classification.two_labels)")
    file.counts["two_label_rows"] = n_rows
    if config.two_labels == "keep":
        return file
    if len({row.label for row in left}) < 2:
        raise DataError(f"{sentence}, and fewer than two labels remain: correct the labels")
    return replace(file, rows=left)


def group_rows(rows: Sequence[Row], threshold: float | None, file: ExampleFile[Row]) -> list[int]:
    """Group rows that must stay in one split, and say how many there are.

    Args:
        rows: The examples to be split.
        threshold: Least similarity of near duplicates; None groups rows that ask the same.
        file: Receives a notice and a count.

    Returns:
        For each row the index of the first of its group.
    """
    if threshold is None:
        return _first_equal([asked_text(row) for row in rows])
    groups = group_near_duplicates([compared_text(row) for row in rows], threshold)
    if rows and isinstance(rows[0], InstructionExample):
        same = _first_equal([" ".join(words_of(asked_text(row))) for row in rows])
        groups = merge_groups(groups, same)
    sizes = Counter(groups)
    several = {group: n for group, n in sizes.items() if n > 1}
    if several:
        n_rows, largest = sum(several.values()), max(several.values())
        file.counts["near_duplicates"] = n_rows
        file.notices.append(
            f"{n_rows:,} of {len(rows):,} examples are near duplicates of others: none of their "
            f"{len(several):,} groups, of which the largest has {largest:,}, is divided"
        )
    return groups


def drop_twins(
    rows: list[Row],
    held: Sequence[Row],
    threshold: float | None,
    file: ExampleFile[Row],
    whose: str,
    path: Location,
) -> list[Row]:
    """Leave out examples that are near duplicates of held-out ones, and say how many.

    Args:
        rows: The examples to be split.
        held: The examples of a file for validation or test.
        threshold: Least similarity of near duplicates; None leaves out those that ask the same.
        file: Receives a notice and a count.
        whose: Names the held-out examples in the notice.
        path: The file of the rows.

    Raises:
        DataError: If none is left.
    """
    asked = {" ".join(words_of(asked_text(row))) for row in held}
    twins = [" ".join(words_of(asked_text(row))) in asked for row in rows]
    if threshold is None:
        exact = {asked_text(row) for row in held}
        twins = [asked_text(row) in exact for row in rows]
    else:
        texts, others = ([compared_text(row) for row in each] for each in (rows, held))
        near = find_near_duplicates(texts, others, threshold)
        twins = [equal or similar for equal, similar in zip(twins, near, strict=True)]
    n_twins = sum(twins)
    if n_twins == len(rows):
        raise DataError(f"all examples of {path} nearly equal {whose}: none is left to train on")
    if n_twins:
        file.counts["held_out_twins"] = file.counts.get("held_out_twins", 0) + n_twins
        file.notices.append(
            f"{n_twins:,} of {len(rows):,} examples of {path} nearly equal {whose}: they are left "
            "out of training"
        )
    return [row for row, twin in zip(rows, twins, strict=True) if not twin]


def _first_equal(texts: Sequence[str]) -> list[int]:
    """For each text the index of the first equal one."""
    first: dict[str, int] = {}
    return [first.setdefault(text, index) for index, text in enumerate(texts)]
