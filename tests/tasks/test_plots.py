"""Plots show what is in their tables."""

import pandas as pd

from tasks.plots import confusion_matrix, loss_curves, metric_bars, run_curves, zipf_curves


def test_loss_curves_have_the_steps_at_which_each_loss_is_known() -> None:
    metrics = pd.DataFrame(
        [{"step": 1, "train/loss": 5.0}, {"step": 2, "train/loss": 4.0, "validation/loss": 4.5}]
    )
    lines = loss_curves(metrics).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["train/loss", "validation/loss"]
    assert [list(line.get_xdata()) for line in lines] == [[1, 2], [2]]


def test_a_confusion_matrix_shows_every_count() -> None:
    counts = pd.DataFrame(
        [{"expected": "ham", "predicted ham": 1200, "predicted spam": 1},
         {"expected": "spam", "predicted ham": 0, "predicted spam": 30}]
    )  # fmt: skip
    axes = confusion_matrix(counts).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1,200", "1", "0", "30"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ham", "spam"]


def test_metric_bars_have_a_panel_for_each_metric_and_a_bar_for_each_row() -> None:
    rows = pd.DataFrame([{"tokenizer": "byte", "size": 257}, {"tokenizer": "bpe", "loss": 2.0}])
    figure = metric_bars(rows, "tokenizer")
    assert [axes.get_title() for axes in figure.axes] == ["size", "loss"]
    assert [bar.get_width() for bar in figure.axes[0].patches] == [257, 0]
    chosen = metric_bars(rows, "tokenizer", {"loss": "Loss", "missing": "Missing"})
    assert [axes.get_title() for axes in chosen.axes] == ["Loss", "Missing"]


def test_zipf_curves_have_a_line_for_each_tokenizer() -> None:
    ranks = pd.DataFrame({"tokenizer": ["b", "b", "a"], "rank": [1, 2, 1], "count": [9, 3, 8]})
    lines = zipf_curves(ranks).axes[0].get_lines()
    assert [(line.get_label(), list(line.get_ydata())) for line in lines] == [
        ("b", [9, 3]), ("a", [8])
    ]  # fmt: skip


def test_curves_of_several_runs_have_a_colour_each() -> None:
    both = pd.DataFrame({"step": [1, 2], "train/loss": [3.0, 2.0], "validation/loss": [None, 2.5]})
    figure = run_curves({"a": both, "b": both[["step", "train/loss"]]})
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["a train", "a validation", "b train"]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    assert list(lines[1].get_xdata()) == [2]
