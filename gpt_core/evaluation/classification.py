"""How often a classifier is right, and how it errs."""

from collections.abc import Sequence
from typing import Any


def classification_metrics(
    expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Accuracy; precision, recall and F1 as means over the labels; the confusion matrix.

    Args:
        expected: The right label of each example.
        predicted: The classifier's.
        labels: All labels, in the order of the matrix.

    Returns:
        The figures, and one row for each expected label with the count of each prediction.
    """
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        expected, predicted, labels=list(labels), average="macro", zero_division=0.0
    )
    figures = {
        "accuracy": float(accuracy_score(expected, predicted)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }
    matrix = confusion_matrix(expected, predicted, labels=list(labels))
    rows = [
        {
            "expected": label,
            **{f"predicted {other}": int(n) for other, n in zip(labels, counts, strict=True)},
        }
        for label, counts in zip(labels, matrix, strict=True)
    ]
    return figures, rows
