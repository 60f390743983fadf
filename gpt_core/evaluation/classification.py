"""Metrics of a classifier on labelled examples, computed by scikit-learn.

Shapes: N examples, K classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gpt_core.evaluation.calibration import Floats, calibration_error, reliability
from gpt_core.evaluation.intervals import bootstrap_f1, wilson_interval

_MACRO_METRICS = ("precision", "recall", "f1")
_TINY = 1e-12  # of a probability, so that its logarithm is a number


@dataclass(frozen=True, slots=True)
class ClassifierMetrics:
    """Everything that is measured of a classifier's predictions on one part."""

    metrics: dict[str, float] = field(default_factory=dict)
    """``accuracy`` with its 95 % interval ``accuracy_low`` and ``accuracy_high``; macro-averaged
    ``precision``, ``recall`` and ``f1``; ``f1_weighted``; ``auroc``; ``loss``, ``brier`` and
    ``ece``; with a positive label its ``precision_positive``, ``recall_positive`` and
    ``f1_positive`` with an interval. Empty without examples."""

    labels: list[dict[str, object]] = field(default_factory=list)
    """A row for each label with its precision, recall, F1 and number of examples."""

    confusion: list[dict[str, object]] = field(default_factory=list)
    """A row for each expected label with the count of each prediction."""

    reliability: list[dict[str, float]] = field(default_factory=list)
    """Confidence and accuracy, see ``gpt_core.evaluation.calibration.reliability``."""


def classification_metrics(
    expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, float], list[dict[str, object]]]:
    """Accuracy, macro-averaged precision, recall and F1, and the confusion matrix.

    Args:
        expected: The true label of each example.
        predicted: The predicted label of each example.
        labels: All labels, in the order of the matrix.

    Returns:
        The metrics (empty without examples; a label that is never predicted has a precision of
        0), and one row per expected label with the count of each prediction.

    Example:
        >>> metrics, _ = classification_metrics(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
        >>> {name: round(value, 3) for name, value in metrics.items()}
        {'accuracy': 0.667, 'precision': 0.75, 'recall': 0.75, 'f1': 0.667}
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    metrics: dict[str, float] = {}
    if expected:
        means = precision_recall_fscore_support(
            expected, predicted, labels=list(labels), average="macro", zero_division=0.0
        )
        metrics["accuracy"] = float(accuracy_score(expected, predicted))
        metrics |= {n: float(v) for n, v in zip(_MACRO_METRICS, means[:3], strict=True)}
    counts = Counter(zip(expected, predicted, strict=True))
    rows = [
        {"expected": label, **{f"predicted {other}": counts[label, other] for other in labels}}
        for label in labels
    ]
    return metrics, rows


def confusion_metrics(
    counts: Mapping[tuple[str, str], int], labels: Sequence[str]
) -> dict[str, float]:
    """The metrics of ``classification_metrics`` from counts, whose number of examples is not bound.

    Args:
        counts: How many examples have an expected and a predicted label, none of them zero.
        labels: All labels.

    Returns:
        Accuracy with its 95 % interval, macro-averaged precision, recall and F1, and the F1
        weighted by the labels' examples.
    """
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    expected, predicted = zip(*counts, strict=True)
    weights, total = list(counts.values()), sum(counts.values())
    shared = {"labels": list(labels), "zero_division": 0.0, "sample_weight": weights}
    means = precision_recall_fscore_support(expected, predicted, average="macro", **shared)
    correct = sum(count for (label, other), count in counts.items() if label == other)
    return {
        "accuracy": float(accuracy_score(expected, predicted, sample_weight=weights)),
        **_named("accuracy", wilson_interval(correct, total)),
        **{name: float(value) for name, value in zip(_MACRO_METRICS, means[:3], strict=True)},
        "f1_weighted": float(f1_score(expected, predicted, average="weighted", **shared)),
    }


def measure_classifier(
    expected: Sequence[str], probabilities: Floats, labels: Sequence[str], positive: str | None
) -> ClassifierMetrics:
    """Measure predictions with their probabilities.

    Args:
        expected: The true label of each example.
        probabilities: Of the classes, shape (N, K); the most probable one is the prediction.
        labels: The label of each class.
        positive: The label whose own precision, recall and F1 are measured, or None.
    """
    if not expected:
        return ClassifierMetrics(confusion=classification_metrics([], [], labels)[1])
    targets = np.array([labels.index(label) for label in expected])
    predicted = [labels[index] for index in probabilities.argmax(axis=1)]
    metrics, confusion = classification_metrics(expected, predicted, labels)
    rows = _per_label(expected, predicted, labels)
    counts = np.array([[int(str(row[f"predicted {b}"])) for b in labels] for row in confusion])
    metrics |= _named("accuracy", wilson_interval(int(counts.trace()), len(expected)))
    metrics |= _named("f1", bootstrap_f1(counts, None))
    metrics["f1_weighted"] = _weighted_f1(expected, predicted, labels)
    if positive is not None:
        own = rows[labels.index(positive)]
        metrics |= {f"{n}_positive": float(str(own[n])) for n in _MACRO_METRICS}
        metrics |= _named("f1_positive", bootstrap_f1(counts, labels.index(positive)))
    metrics |= _probability_metrics(targets, probabilities, labels, positive)
    bins = reliability(probabilities, targets)
    metrics["ece"] = calibration_error(bins)
    return ClassifierMetrics(metrics, rows, confusion, bins)


def _named(metric: str, bounds: tuple[float, float]) -> dict[str, float]:
    return {f"{metric}_low": bounds[0], f"{metric}_high": bounds[1]}


def _per_label(
    expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> list[dict[str, object]]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        expected, predicted, labels=list(labels), zero_division=0.0
    )
    return [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "examples": n}
        for label, p, r, f, n in zip(labels, *(column.tolist() for column in columns), strict=True)
    ]


def _weighted_f1(expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> float:
    from sklearn.metrics import f1_score

    return float(
        f1_score(expected, predicted, labels=list(labels), average="weighted", zero_division=0.0)
    )


def _probability_metrics(
    targets: np.ndarray, probabilities: Floats, labels: Sequence[str], positive: str | None
) -> dict[str, float]:
    """Cross-entropy, Brier score and, where every label occurs, the area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    one_hot = np.eye(len(labels))[targets]
    squares = ((probabilities - one_hot) ** 2).sum(axis=1).mean()
    own = probabilities[np.arange(len(targets)), targets]
    metrics = {
        "loss": float(-np.log(np.maximum(own, _TINY)).mean()),
        # of two labels that of either alone, as is usual: half of the sum over both
        "brier": float(squares / 2 if len(labels) == 2 else squares),
    }
    if len(np.unique(targets)) == len(labels):
        if len(labels) == 2:
            column = labels.index(positive) if positive is not None else 1
            metrics["auroc"] = float(roc_auc_score(targets == column, probabilities[:, column]))
        else:
            sums = probabilities / probabilities.sum(axis=1, keepdims=True)
            metrics["auroc"] = float(roc_auc_score(targets, sums, multi_class="ovr"))
    return metrics
