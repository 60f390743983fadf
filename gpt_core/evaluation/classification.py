"""How often a classifier is right, and how it errs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

_MEANS = ("precision", "recall", "f1")


def classification_metrics(
    expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Accuracy; precision, recall and F1 as means over the labels; the confusion matrix.

    Args:
        expected: The right label of each example.
        predicted: The classifier's.
        labels: All labels, in the order of the matrix.

    Returns:
        The figures (none without examples), and one row for each expected label with the count
        of each prediction. A label that is never predicted has a precision of 0.

    Example:
        >>> figures, _ = classification_metrics(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
        >>> {name: round(value, 3) for name, value in figures.items()}
        {'accuracy': 0.667, 'precision': 0.75, 'recall': 0.75, 'f1': 0.667}
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    figures: dict[str, float] = {}
    if expected:
        means = precision_recall_fscore_support(
            expected, predicted, labels=list(labels), average="macro", zero_division=0.0
        )
        figures["accuracy"] = float(accuracy_score(expected, predicted))
        figures |= {n: float(v) for n, v in zip(_MEANS, means[:3], strict=True)}
    counts = Counter(zip(expected, predicted, strict=True))
    rows = [
        {"expected": label, **{f"predicted {other}": counts[label, other] for other in labels}}
        for label in labels
    ]
    return figures, rows
