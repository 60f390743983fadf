"""Plots of classifiers show what is in their tables."""

import pandas as pd
import pytest

from tasks.classifier_plots import metric_intervals, reliability_diagram


def test_a_reliability_diagram_has_a_curve_for_each_calibration() -> None:
    curve = pd.DataFrame({"confidence": [0.6, 0.9], "accuracy": [0.5, 0.95], "examples": [4, 9]})
    curves = {"calibrated": curve, "uncalibrated": curve, "none": pd.DataFrame()}
    lines = reliability_diagram(curves).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["honest", "calibrated", "uncalibrated"]
    assert list(lines[1].get_ydata()) == [0.5, 0.95]


def test_intervals_are_drawn_around_the_means_with_published_values_apart() -> None:
    rows = pd.DataFrame(
        [{"model": "all", "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95,
          "published": 0.97},
         {"model": "linear", "accuracy": 0.7, "accuracy_low": None, "accuracy_high": None,
          "published": None}]
    )  # fmt: skip
    (axes,) = metric_intervals(rows).axes
    assert axes.get_title() == "accuracy"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "linear"]
    spans = axes.containers[0].lines[2][0].get_segments()
    assert spans[0][:, 0].tolist() == pytest.approx([0.8, 0.95])
    assert spans[1][:, 0].tolist() == pytest.approx([0.7, 0.7])
    assert axes.get_legend().get_texts()[0].get_text() == "published, not run here"
