"""Plots that are recorded with MLflow runs."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOKENIZER_METRICS = {
    "tokens_per_word": "tokens a word",
    "bytes_per_token": "bytes a token",
    "whole_words": "fraction of words in one piece",
    "vocabulary_used": "fraction of the vocabulary used",
    "megabytes_per_second": "encoding, MB a second",
    "train_seconds": "training, seconds",
}
"""The metrics of a tokenizer that are drawn, with their titles."""


def loss_curves(metrics: pd.DataFrame) -> "Figure":
    """Training and validation loss over the steps.

    Args:
        metrics: ``step`` with ``train/loss`` and ``validation/loss``, each of which may be missing.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    for name, style in (("train/loss", "-"), ("validation/loss", "o-")):
        if name in metrics:
            curve = metrics[["step", name]].dropna()
            axes.plot(curve["step"], curve[name], style, label=name, markersize=4)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def run_curves(runs: Mapping[str, pd.DataFrame]) -> "Figure":
    """The losses of several runs over the steps, a color for each run.

    Args:
        runs: By name ``step`` with ``train/loss`` and ``validation/loss``, each of which may be
            missing.
    """
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    for color, (run, metrics) in enumerate(runs.items()):
        for name, style in (("train/loss", "-"), ("validation/loss", "o--")):
            if name in metrics:
                curve = metrics[["step", name]].dropna()
                label = f"{run} {name.partition('/')[0]}"
                axes.plot(
                    curve["step"], curve[name], style, color=f"C{color}", label=label, markersize=3
                )
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def confusion_matrix(counts: pd.DataFrame) -> "Figure":
    """A confusion matrix with its counts.

    Args:
        counts: A row for each label ``expected``, with a column ``predicted LABEL`` for each.
    """
    labels = [str(label) for label in counts["expected"]]
    cells = counts[[f"predicted {label}" for label in labels]].to_numpy()
    figure = new_figure(1.2 * len(labels) + 3, 1.0 * len(labels) + 2)
    axes = figure.add_subplot()
    axes.imshow(cells, cmap="Blues")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("expected")
    for i, row in enumerate(cells):
        for j, count in enumerate(row):
            color = "white" if count > cells.max() / 2 else "black"
            axes.text(j, i, f"{count:,}", ha="center", va="center", color=color)
    return figure


def metric_bars(
    rows: pd.DataFrame, column: str, titles: Mapping[str, str] | None = None
) -> "Figure":
    """Metrics side by side: a panel for each metric, a bar for each row.

    Args:
        rows: A row of metrics for each thing that is compared.
        column: The column with the rows' names.
        titles: The metrics that are drawn, with their titles; None draws all by their names.
    """
    drawn = titles or {str(key): str(key) for key in rows.columns if key != column}
    n_columns = min(3, len(drawn))
    n_rows = math.ceil(len(drawn) / n_columns)
    figure = new_figure(3.7 * n_columns, n_rows * (0.7 + 0.25 * len(rows)))
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).flat
    for axes, (key, title) in zip(grid, drawn.items(), strict=False):
        widths = rows[key].fillna(0.0) if key in rows else [0.0] * len(rows)
        axes.barh([str(name) for name in rows[column]], widths, height=0.6)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3, axis="x")
    for axes in figure.axes[len(drawn) :]:
        axes.set_axis_off()
    figure.axes[0].invert_yaxis()  # the first row on top, in all panels
    return figure


def zipf_curves(ranks: pd.DataFrame) -> "Figure":
    """Occurrences of tokens by their rank, the most frequent first, on logarithmic axes.

    Args:
        ranks: ``tokenizer``, ``rank`` and ``count``.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    for name, curve in ranks.groupby("tokenizer", sort=False):
        axes.loglog(curve["rank"], curve["count"], label=str(name))
    axes.set_xlabel("rank of the token")
    axes.set_ylabel("occurrences")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty matplotlib figure; sizes in inches."""
    from matplotlib.figure import Figure  # takes a second, without which cached stages do

    return Figure(figsize=(width, height), layout="constrained")
