"""Figures that MLflow keeps beside a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure


def loss_figure(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Training and validation loss over the steps.

    Args:
        records: Rows with ``step`` and figures, as ``metrics.jsonl`` has them.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, style in (("train/loss", "-"), ("validation/loss", "o-")):
        points = [(row["step"], row[name]) for row in records if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=name, markersize=4)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def confusion_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A confusion matrix with its counts.

    Args:
        rows: One for each expected label: ``expected`` and a count for each prediction.
    """
    labels = [str(row["expected"]) for row in rows]
    counts = [[row[f"predicted {label}"] for label in labels] for row in rows]
    figure = Figure(figsize=(1.2 * len(labels) + 3, 1.0 * len(labels) + 2), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(counts, cmap="Blues")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("expected")
    largest = max(max(row) for row in counts)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            color = "white" if count > largest / 2 else "black"
            axes.text(j, i, f"{count:,}", ha="center", va="center", color=color)
    return figure
