"""Metrics of a classifier: accuracy, macro-averaged F1, confusion matrix."""

from collections import Counter
from collections.abc import Sequence

_MACRO_METRICS = ("precision", "recall", "f1")


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
