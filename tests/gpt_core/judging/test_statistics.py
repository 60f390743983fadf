"""Statistics against scikit-learn and closed forms, on fresh random numbers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from gpt_core.judging import auc, bootstrap_interval, length_controlled_win_rate


def test_auc_equals_scikit_learns() -> None:
    generator = np.random.default_rng()
    for _ in range(20):
        right, wrong = generator.integers(1, 6, 17), generator.integers(1, 5, 31)
        expected = roc_auc_score([1] * 17 + [0] * 31, [*right, *wrong])
        assert auc([*map(float, right)], [*map(float, wrong)]) == pytest.approx(expected, abs=1e-12)


def test_a_missing_score_counts_as_a_guess() -> None:
    assert auc([5.0, None], [1.0, 1.0]) == 0.75
    assert auc([5.0, 5.0], [1.0, None]) == 0.75


def test_the_interval_has_the_width_of_the_normal_approximation() -> None:
    values = np.random.default_rng().normal(3.0, 1.0, 400)
    low, high = bootstrap_interval(list(values), seed=1)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.25 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.25 * half)
    assert bootstrap_interval([2.0], seed=1) == (2.0, 2.0)


def test_length_control_equals_scikit_learns_regression() -> None:
    generator = np.random.default_rng()
    differences = generator.normal(20.0, 50.0, 500)
    chances = 1 / (1 + np.exp(-(0.3 + 1.5 * np.tanh(differences / differences.std()))))
    wins = (generator.random(500) < chances).astype(float)
    inputs = np.tanh(differences / differences.std())[:, None]
    # scikit-learn's ridge leaves the intercept alone: a weak one makes the two equal.
    model = LogisticRegression(C=1e3, tol=1e-10, max_iter=1000).fit(inputs, wins)
    expected = 1 / (1 + np.exp(-model.intercept_[0]))
    found = length_controlled_win_rate(list(wins), list(differences))
    assert found == pytest.approx(expected, abs=1e-4)


def test_equal_lengths_leave_the_win_rate_as_it_is() -> None:
    assert length_controlled_win_rate([1.0, 0.5, 0.0, 1.0], [7.0] * 4) == 0.625


def test_wins_by_length_alone_are_a_tie_when_it_is_controlled() -> None:
    differences = [50.0, -50.0, 60.0, -60.0, 40.0, -40.0]
    wins = [float(difference > 0) for difference in differences]
    assert length_controlled_win_rate(wins, differences) == pytest.approx(0.5, abs=1e-6)
