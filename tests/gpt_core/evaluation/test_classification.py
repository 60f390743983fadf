"""Figures of a classifier, beside figures made by hand and by counting."""

import random

import pytest

from gpt_core.evaluation import classification_metrics


def test_the_figures_are_those_made_by_hand() -> None:
    # ham: 4 right of 5 predicted and 6 expected; spam: 2 right of 4 predicted and 3 expected
    expected = ["ham"] * 6 + ["spam"] * 3
    predicted = ["ham"] * 4 + ["spam"] * 2 + ["spam"] * 2 + ["ham"]
    figures, rows = classification_metrics(expected, predicted, ["ham", "spam"])
    assert figures["accuracy"] == pytest.approx(6 / 9)
    assert figures["precision"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert figures["recall"] == pytest.approx((4 / 6 + 2 / 3) / 2)
    assert figures["f1"] == pytest.approx((8 / 11 + 4 / 7) / 2)
    assert rows == [
        {"expected": "ham", "predicted ham": 4, "predicted spam": 2},
        {"expected": "spam", "predicted ham": 1, "predicted spam": 2},
    ]


def test_the_figures_agree_with_counting_on_random_predictions() -> None:
    draw = random.Random()
    labels = ["a", "b", "c"]
    expected = [*labels, *draw.choices(labels, k=200)]
    predicted = [*labels, *draw.choices(labels, k=200)]
    pairs = list(zip(expected, predicted, strict=True))
    f1 = []
    for label in labels:
        right = pairs.count((label, label))
        f1.append(2 * right / (expected.count(label) + predicted.count(label)))
    figures, rows = classification_metrics(expected, predicted, labels)
    assert figures["f1"] == pytest.approx(sum(f1) / 3)
    assert figures["accuracy"] == pytest.approx(sum(e == p for e, p in pairs) / len(pairs))
    for row in rows:
        for label in labels:
            assert row[f"predicted {label}"] == pairs.count((row["expected"], label))


def test_a_label_that_is_never_predicted_counts_as_nothing() -> None:
    figures, _ = classification_metrics(["a", "b"], ["a", "a"], ["a", "b"])
    assert figures["precision"] == pytest.approx(1 / 4)
    assert figures["f1"] == pytest.approx(1 / 3)


def test_no_examples_give_no_figures_and_an_empty_matrix() -> None:
    figures, rows = classification_metrics([], [], ["a", "b"])
    assert figures == {}
    assert [row["predicted a"] + row["predicted b"] for row in rows] == [0, 0]
