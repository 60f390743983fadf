"""Intervals and tests equal scipy's and a plain bootstrap."""

import numpy as np
import pytest
from scipy import stats

from gpt_core.evaluation.intervals import (
    bootstrap_f1,
    mcnemar_p_value,
    paired_p_value,
    t_interval,
)


def test_intervals_and_p_values_equal_scipys() -> None:
    rng = np.random.default_rng()
    first, second = rng.normal(0.9, 0.02, 5), rng.normal(0.88, 0.02, 5)
    found = t_interval(first.tolist())
    wanted = stats.t.interval(0.95, 4, loc=first.mean(), scale=stats.sem(first))
    assert (found.low, found.high) == pytest.approx(wanted)
    plain = paired_p_value((first - second).tolist(), 0.0)
    assert plain == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert paired_p_value((first - second).tolist(), 0.25) > plain
    assert paired_p_value([0.0, 0.0], 0.25) == 1.0
    right, wrong = [True] * 12 + [False] * 3, [False] * 12 + [True] * 3
    assert mcnemar_p_value(right, wrong) == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert mcnemar_p_value(right, right) == 1.0


def test_the_bootstrap_of_counts_equals_one_of_examples() -> None:
    rng = np.random.default_rng(0)
    expected = rng.random(400) < 0.3
    predicted = np.where(rng.random(400) < 0.9, expected, ~expected)
    confusion = np.array(
        [[(~expected & ~predicted).sum(), (~expected & predicted).sum()],
         [(expected & ~predicted).sum(), (expected & predicted).sum()]]
    )  # fmt: skip
    values = []
    for _ in range(2000):
        rows = rng.integers(0, 400, 400)
        a, b = expected[rows], predicted[rows]
        values.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    wanted = np.percentile(values, [2.5, 97.5])
    assert bootstrap_f1(confusion, 1) == pytest.approx(tuple(wanted), abs=0.01)
    assert bootstrap_f1(confusion, None)[0] > bootstrap_f1(confusion, 1)[0]
