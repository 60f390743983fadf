"""Figures that MLflow keeps beside a run."""

import math
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


def figures_figure(
    rows: Sequence[Mapping[str, Any]], column: str, titles: Mapping[str, str] | None = None
) -> Figure:
    """Figures of several things, a panel for each figure and a bar for each thing.

    Args:
        rows: The things' figures, with their name in one column.
        column: That column.
        titles: Which figures to draw, and how each is called; None draws all by their names.
    """
    named = titles or {key: key for row in rows for key in row if key != column}
    names = [str(row[column]) for row in rows]
    n_columns = min(3, len(named))
    n_rows = math.ceil(len(named) / n_columns)
    size = (3.7 * n_columns, n_rows * (0.7 + 0.25 * len(rows)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).flat
    for axes, (key, title) in zip(grid, named.items(), strict=False):
        axes.barh(names, [row.get(key, 0.0) for row in rows], height=0.6)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3, axis="x")
    for axes in figure.axes[len(named) :]:
        axes.set_axis_off()
    figure.axes[0].invert_yaxis()  # the first on top, in all of them
    return figure


def zipf_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """How often tokens occur, from the most frequent on, on logarithmic axes.

    Args:
        rows: ``tokenizer``, ``rank`` and ``count``.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name in dict.fromkeys(row["tokenizer"] for row in rows):
        points = [(row["rank"], row["count"]) for row in rows if row["tokenizer"] == name]
        axes.loglog(*zip(*points, strict=True), label=str(name))
    axes.set_xlabel("rank of the token")
    axes.set_ylabel("occurrences")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
