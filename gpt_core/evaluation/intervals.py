"""Intervals and tests: how much a metric of a test part says.

Shapes: K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its deviation and its 95 % interval."""

    mean: float
    sd: float
    low: float
    high: float


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion, such as an accuracy.

    Args:
        n_correct: Number of successes.
        n: Number of trials, at least 1.

    References:
        Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Example:
        >>> tuple(round(bound, 3) for bound in wilson_interval(295, 300))
        (0.962, 0.993)
    """
    from scipy import stats

    found = stats.binomtest(n_correct, n).proportion_ci(_CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def bootstrap_f1(
    confusion: NDArray[np.int64], column: int | None, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of F1 by the percentiles of a bootstrap.

    F1 depends on the counts of the confusion matrix alone, so drawing N examples with replacement
    is drawing those counts from a multinomial distribution.

    Args:
        confusion: Counts, a row for each expected class and a column for each predicted one, shape
            (K, K).
        column: The class whose F1 is meant; None for the macro mean.
        seed: Seed of the resamples.
    """
    k, n = len(confusion), int(confusion.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, confusion.ravel() / n, size=_RESAMPLES).reshape(-1, k, k)
    hits = drawn.diagonal(axis1=1, axis2=2)
    either = drawn.sum(axis=1) + drawn.sum(axis=2)
    f1 = 2 * hits / np.maximum(either, 1)
    values = f1.mean(axis=1) if column is None else f1[:, column]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def t_interval(values: Sequence[float]) -> Interval:
    """Mean, standard deviation and 95 % interval by Student's t of a metric over seeds.

    Args:
        values: At least two.
    """
    from scipy import stats

    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(stats.t.interval(_CONFIDENCE, len(values) - 1)[1]) * sd / math.sqrt(len(values))
    return Interval(mean, sd, mean - half, mean + half)


def paired_p_value(differences: Sequence[float], test_to_train: float) -> float:
    """Two-sided p-value of paired differences over seeds, by Student's t.

    Where each seed draws its own split, the training parts overlap and the differences are not
    independent; the correction adds the ratio of the sizes to 1/n.

    Args:
        differences: Of the metrics of two models on the same splits, at least two.
        test_to_train: Examples of the test part by those of the training part; 0 where all seeds
            share one split.

    Returns:
        The p-value; 1 where all differences are 0.

    References:
        Nadeau and Bengio 2003, "Inference for the Generalization Error", section 4.
    """
    from scipy import stats

    n, mean = len(differences), float(np.mean(differences))
    variance = float(np.var(differences, ddof=1)) * (1 / n + test_to_train)
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / math.sqrt(variance), n - 1))


def mcnemar_p_value(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Exact two-sided p-value that two models are equally often correct on the same examples.

    Args:
        first: Whether the first model is correct, for each example.
        second: The same of the second model.

    References:
        McNemar 1947, "Note on the Sampling Error of the Difference Between Correlated Proportions".
    """
    from scipy import stats

    only = [a for a, b in zip(first, second, strict=True) if a != b]
    return float(stats.binomtest(sum(only), len(only)).pvalue) if only else 1.0
