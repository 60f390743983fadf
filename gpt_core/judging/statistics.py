"""Statistics of judgements: AUC, bootstrap intervals, a win rate without the effect of length."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_LEVEL = 0.95
_STEPS = 50  # of Newton's method, which needs five to ten
_RIDGE = 1e-3  # keeps coefficients finite where length alone decides
Floats = NDArray[np.float64]


def auc(right: Sequence[float | None], wrong: Sequence[float | None]) -> float:
    """The probability that a right answer scores higher than a wrong one; ties count half.

    A pair of which a score is missing counts half too: the judge says nothing about it.

    Args:
        right: Scores of right answers; None for an answer that has none.
        wrong: Scores of wrong answers.

    References:
        Fawcett 2006, "An introduction to ROC analysis", section 7.

    Example:
        >>> auc([5, 4], [1, 4])
        0.875
        >>> auc([None, None], [1, 1])
        0.5
    """
    first = np.array([np.nan if each is None else each for each in right], dtype=np.float64)
    second = np.array([np.nan if each is None else each for each in wrong], dtype=np.float64)
    higher = (first[:, None] > second).mean()
    lower = (first[:, None] < second).mean()
    return float(0.5 + (higher - lower) / 2)


def bootstrap_interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean, by the percentiles of resampled means.

    Args:
        values: At least one value.
        seed: Seed of the resampling.

    References:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.
    """
    data, generator = np.asarray(values, dtype=np.float64), np.random.default_rng(seed)
    means = [data[generator.integers(0, len(data), len(data))].mean() for _ in range(_RESAMPLES)]
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def length_controlled_win_rate(wins: Sequence[float], differences: Sequence[float]) -> float:
    """The win rate that is expected if both answers were equally long.

    A logistic regression of the wins on tanh(d / s), with d the difference of the lengths and s its
    standard deviation; its value at d = 0.

    Args:
        wins: 1 for a win, 0 for a loss, 0.5 for a tie; at least one.
        differences: Length of the answer minus that of the other one.

    References:
        Dubois et al. 2024, "Length-Controlled AlpacaEval", section 3.
    """
    won = np.asarray(wins, dtype=np.float64)
    spread = float(np.std(differences))
    if spread == 0.0:
        return float(won.mean())
    inputs = np.stack([np.ones_like(won), np.tanh(np.asarray(differences) / spread)], axis=1)
    weights = _fit_logistic(inputs, won)
    return float(1 / (1 + np.exp(-weights[0])))


def _fit_logistic(inputs: Floats, targets: Floats) -> Floats:
    """Coefficients of a logistic regression by Newton's method, with a small ridge."""
    weights = np.zeros(inputs.shape[1])
    ridge = _RIDGE * np.eye(inputs.shape[1])
    for _ in range(_STEPS):
        means = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        gradient = inputs.T @ (targets - means) - ridge @ weights
        curvature = (inputs * (means * (1 - means))[:, None]).T @ inputs + ridge
        step = np.linalg.solve(curvature, gradient)
        weights = weights + np.clip(step, -2, 2)
    return weights
