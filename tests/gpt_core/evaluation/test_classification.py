"""Classification metrics against values computed by hand and by counting."""

import random

import pytest

from gpt_core.evaluation import classification_metrics


def test_metrics_equal_those_computed_by_hand() -> None:
    # ham: 4 right of 5 predicted and 6 expected; spam: 2 right of 4 predicted and 3 expected
    expected = ["ham"] * 6 + ["spam"] * 3
    predicted = ["ham"] * 4 + ["spam"] * 2 + ["spam"] * 2 + ["ham"]
    metrics, rows = classification_metrics(expected, predicted, ["ham", "spam"])
    assert metrics["accuracy"] == pytest.approx(6 / 9)
    assert metrics["precision"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert metrics["recall"] == pytest.approx((4 / 6 + 2 / 3) / 2)
    assert metrics["f1"] == pytest.approx((8 / 11 + 4 / 7) / 2)
    assert rows == [
        {"expected": "ham", "predicted ham": 4, "predicted spam": 2},
        {"expected": "spam", "predicted ham": 1, "predicted spam": 2},
    ]


def test_metrics_of_random_predictions_equal_counts() -> None:
    rng = random.Random()
    labels = ["a", "b", "c"]
    expected = [*labels, *rng.choices(labels, k=200)]
    predicted = [*labels, *rng.choices(labels, k=200)]
    pairs = list(zip(expected, predicted, strict=True))
    f1 = []
    for label in labels:
        right = pairs.count((label, label))
        f1.append(2 * right / (expected.count(label) + predicted.count(label)))
    metrics, rows = classification_metrics(expected, predicted, labels)
    assert metrics["f1"] == pytest.approx(sum(f1) / 3)
    assert metrics["accuracy"] == pytest.approx(sum(e == p for e, p in pairs) / len(pairs))
    for row in rows:
        for label in labels:
            assert row[f"predicted {label}"] == pairs.count((row["expected"], label))


def test_a_label_that_is_never_predicted_has_precision_0() -> None:
    metrics, _ = classification_metrics(["a", "b"], ["a", "a"], ["a", "b"])
    assert metrics["precision"] == pytest.approx(1 / 4)
    assert metrics["f1"] == pytest.approx(1 / 3)


def test_no_examples_give_no_metrics_and_an_empty_matrix() -> None:
    metrics, rows = classification_metrics([], [], ["a", "b"])
    assert metrics == {}
    assert [row["predicted a"] + row["predicted b"] for row in rows] == [0, 0]
