"""Validation and test have neither the texts of training nor those that nearly equal them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from gpt_core.config import ClassificationConfig, InstructionConfig
from gpt_core.errors import DataError
from gpt_core.text import (
    Example,
    find_near_duplicates,
    label_weights,
    read_example_splits,
    read_instruction_splits,
)

CONFIG = ClassificationConfig(validation_share=0.2, test_share=0.2)


def write(file: Path, rows: list[tuple[str, str]]) -> Path:
    file.write_text("".join(f"{label}\t{text}\n" for label, text in rows), encoding="utf-8")
    return file


def rows(n: int) -> list[tuple[str, str]]:
    """Rows of which no two are alike."""
    return [("ab"[i % 2], f"w{i}x w{i}y w{i}z w{i}u") for i in range(n)]


def test_a_text_of_two_labels_is_left_out_or_kept_and_counted(tmp_path: Path) -> None:
    doubtful = [("a", "this or that"), ("b", "this or that")]
    source = write(tmp_path / "rows.tsv", [*rows(40), *doubtful])
    for choice, n in (("leave-out", 40), ("keep", 42)):
        splits, file = read_example_splits(source, replace(CONFIG, two_labels=choice))
        assert sum(map(len, splits.by_name().values())) == n
        assert file.counts["two_label_rows"] == 2
        assert any("1 texts of" in notice for notice in file.notices)


def test_labels_that_contradict_each_other_everywhere_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.tsv", [("a", "x y"), ("b", "x y"), ("a", "alone")])
    with pytest.raises(DataError, match="fewer than two labels remain"):
        read_example_splits(source, CONFIG)


@pytest.mark.parametrize("threshold", [0.5, None])
def test_what_a_test_file_has_is_left_out_of_training(
    tmp_path: Path, threshold: float | None
) -> None:
    source = write(tmp_path / "rows.tsv", rows(40))
    held = write(tmp_path / "test.tsv", [("a", "W0x, w0y w0z w0u!"), ("b", "w1x w1y w1z w1u")])
    config = replace(CONFIG, near_duplicates=threshold)
    splits, file = read_example_splits(source, config, {"test": held})
    assert len(splits.test) == 2
    left_out = 1 if threshold is None else 2  # the other differs in case and punctuation
    assert file.counts["held_out_twins"] == left_out
    assert len(splits.train) + len(splits.validation) == 40 - left_out


def test_a_test_file_that_equals_the_source_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.tsv", rows(40))
    with pytest.raises(DataError, match="none is left to train on"):
        read_example_splits(source, CONFIG, {"test": source})


def test_instructions_that_differ_in_case_alone_are_in_one_split(
    tmp_path: Path,
) -> None:
    lines = [f'{{"instruction": "Do {i}.", "output": "{i} done now"}}' for i in range(30)]
    lines += [f'{{"instruction": "DO {i}", "output": "never ever {i}"}}' for i in range(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    splits, _ = read_instruction_splits(tmp_path / "rows.jsonl", InstructionConfig(test_share=0.3))
    asked = [{e.instruction.casefold().rstrip(".") for e in part}
             for part in splits.by_name().values()]  # fmt: skip
    assert not asked[0] & asked[1]
    assert not asked[0] & asked[2]
    assert not asked[1] & asked[2]


def test_the_weights_of_labels_are_those_of_scikit_learn() -> None:
    labels = ["ham"] * 13 + ["spam"] * 4 + ["other"] * 2
    classes = np.unique(labels)
    expected = compute_class_weight("balanced", classes=classes, y=labels)
    found = label_weights([Example("text", label) for label in labels])
    assert [found[label] for label in classes] == pytest.approx(list(expected))


def test_no_spam_of_the_test_part_nearly_equals_one_of_training(shared_data: Path) -> None:
    source = shared_data / "sms_spam" / "SMSSpamCollection.tsv"
    splits, _ = read_example_splits(source, ClassificationConfig())
    train, test = (
        [e.text for e in part if e.label == "spam"] for part in (splits.train, splits.test)
    )
    assert len(test) > 100
    assert not any(find_near_duplicates(test, train, 0.5))
    tested, natural = len(test) / len(splits.test), len(train) / len(splits.train)
    assert tested == pytest.approx(natural, abs=0.01), "the test part has the natural mix"
