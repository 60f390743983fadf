"""Plots and tables of classifiers, and how a fine-tuned one is recorded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from gpt_core.artifact import Artifact
from tasks import tables
from tasks.plots import confusion_matrix, new_figure
from tasks.reporting import report_table
from tasks.stage import StageRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {"f1_positive": "F1 of the positive label", "f1": "macro F1", "accuracy": "accuracy"}
_SHOWN_TEXT = 200  # characters of a text on a page


def record_classifier(run: StageRun, classifier: Artifact) -> None:
    """Record a classifier's plots, its predictions and its worst mistakes.

    Of several classifiers of one flow only the one that is kept becomes a model of MLflow.
    """
    record, mistakes = run.record, tables.mistakes(classifier)
    confusion = confusion_matrix(tables.confusion(classifier))
    curves = reliability_diagram(tables.reliability(classifier))
    record.log_figure(confusion, "confusion")
    record.log_figure(curves, "reliability")
    record.log_table(tables.predictions(classifier), "predictions")
    record.log_table(tables.label_metrics(classifier), "labels")
    record.log_table(mistakes, "mistakes")
    shown = mistakes.assign(text=mistakes["text"].map(_cell_text))
    report_table(f"mistakes {run.label}".strip(), shown, [confusion, curves], record.link)
    if not run.label:
        record.log_model(classifier)


def reliability_diagram(curves: Mapping[str, pd.DataFrame]) -> "Figure":
    """Accuracy over confidence; an honest classifier is on the diagonal.

    Args:
        curves: By name ``confidence``, ``accuracy`` and ``examples``, a row for each interval.
    """
    figure = new_figure(5, 5)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], ":", color="grey", label="honest")
    for name, curve in curves.items():
        if len(curve):
            axes.plot(curve["confidence"], curve["accuracy"], "o-", label=name, markersize=4)
    axes.set_xlabel("probability of the predicted label")
    axes.set_ylabel("fraction that is right")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def metric_intervals(rows: pd.DataFrame) -> "Figure":
    """Means with their 95 % intervals, a panel for each metric and a line for each model.

    Args:
        rows: ``model``, and a metric with its ``..._low`` and ``..._high``; ``published`` is drawn
            as an open circle next to the accuracy.
    """
    drawn = {name: title for name, title in _TITLES.items() if name in rows}
    figure = new_figure(4.0 * max(1, len(drawn)), 1.0 + 0.35 * len(rows))
    panels = figure.subplots(1, max(1, len(drawn)), sharey=True, squeeze=False)[0]
    names, places = [str(name) for name in rows["model"]], list(range(len(rows)))
    for axes, (name, title) in zip(panels, drawn.items(), strict=False):
        values = rows[name].astype(float)
        ends = [rows.get(f"{name}_{end}", values).astype(float).fillna(values) for end in _ENDS]
        spans = [(values - ends[0]).clip(lower=0), (ends[1] - values).clip(lower=0)]
        axes.errorbar(values, places, xerr=spans, fmt="o", capsize=3, markersize=4)
        if name == "accuracy" and "published" in rows:
            axes.plot(
                rows["published"], places, "o", fillstyle="none", label="published, not run here"
            )
            axes.legend(fontsize=7)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3, axis="x")
    panels[0].set_yticks(places, names)
    panels[0].invert_yaxis()  # the first row on top, in all panels
    return figure


_ENDS = ("low", "high")


def _cell_text(text: str) -> str:
    """A text in one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")[:_SHOWN_TEXT]
