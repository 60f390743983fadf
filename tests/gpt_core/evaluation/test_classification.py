"""Classification metrics against values computed by hand and by counting."""

import random
from collections import Counter

import numpy as np
import pytest
from sklearn import metrics as sk

from gpt_core.evaluation import classification_metrics, confusion_metrics, measure_classifier


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


@pytest.mark.parametrize("k", [2, 4])
def test_every_metric_of_probabilities_equals_scikit_learns(k: int) -> None:
    rng = np.random.default_rng()
    labels = ["a", "b", "c", "d"][:k]
    targets = np.concatenate([np.arange(k), rng.integers(0, k, 400)])
    scores = rng.normal(size=(len(targets), k)) + 1.5 * np.eye(k)[targets]
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = [labels[i] for i in targets]
    predicted = [labels[i] for i in p.argmax(axis=1)]
    measured = measure_classifier(expected, p, labels, "b")
    found = measured.metrics
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(expected, predicted))
    assert found["f1"] == pytest.approx(sk.f1_score(expected, predicted, average="macro"))
    weighted = sk.f1_score(expected, predicted, average="weighted")
    assert found["f1_weighted"] == pytest.approx(weighted)
    own = sk.f1_score(expected, predicted, labels=["b"], average="macro")
    assert found["f1_positive"] == pytest.approx(own)
    assert found["loss"] == pytest.approx(sk.log_loss(targets, p))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(targets, p, labels=range(k)))
    if k == 2:
        auroc = sk.roc_auc_score(targets, p[:, 1])
        assert found["f1_positive"] == pytest.approx(sk.f1_score(targets, p.argmax(axis=1)))
    else:
        auroc = sk.roc_auc_score(targets, p, multi_class="ovr")
    assert found["auroc"] == pytest.approx(auroc)
    report = sk.classification_report(expected, predicted, output_dict=True)
    for row in measured.labels:
        wanted = report[row["label"]]
        assert row["f1"] == pytest.approx(wanted["f1-score"])
        assert (row["precision"], row["recall"], row["examples"]) == pytest.approx(
            (wanted["precision"], wanted["recall"], wanted["support"])
        )
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    assert found["f1_positive_low"] < found["f1_positive"] < found["f1_positive_high"]


def test_no_examples_have_no_probabilities_to_measure() -> None:
    measured = measure_classifier([], np.zeros((0, 2)), ["a", "b"], "b")
    assert measured.metrics == {}
    assert len(measured.confusion) == 2


def test_metrics_of_counts_are_those_of_the_examples() -> None:
    draw = random.Random(17)
    for labels in (["a", "b"], ["a", "b", "c", "never"]):
        expected = draw.choices(labels[:3], k=200)
        predicted = [e if draw.random() < 0.7 else draw.choice(labels[:3]) for e in expected]
        counts = Counter(zip(expected, predicted, strict=True))
        found = confusion_metrics(counts, labels)
        alone, _ = classification_metrics(expected, predicted, labels)
        assert {name: found[name] for name in alone} == pytest.approx(alone)
        assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
        one_hot = np.eye(len(labels))[[labels.index(label) for label in predicted]]
        measured = measure_classifier(expected, one_hot, labels, None).metrics
        shared = found.keys() & measured.keys()
        assert shared == found.keys()
        assert {name: measured[name] for name in shared} == pytest.approx(found)
