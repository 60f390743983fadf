"""Calibration of a classifier's probabilities: temperature, decision threshold, reliability.

Shapes: N examples, K classes.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_BINS = 15
_LOG_RANGE = (-3.0, 3.0)  # of the temperature: a twentieth to twenty
_HALVINGS = 60
_RESAMPLES = 200
_THRESHOLDS = (0.001, 0.999)  # beyond, one resample would outweigh the others


def fit_temperature(log_probabilities: Floats, targets: Indices) -> float:
    """Find the temperature at which the cross-entropy on held-out examples is lowest.

    ``softmax(log p / T)`` leaves every prediction as it is and makes probabilities honest. The
    targets are smoothed as Platt does it, to (N + 1) / (N + K): where every held-out example is
    classified correctly, the best temperature would be 0 else, and every probability 1.

    Args:
        log_probabilities: Of the classes, shape (N, K).
        targets: The true class of each example, shape (N,).

    Returns:
        The temperature, between 1/20 and 20; 1 without examples.

    References:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; Platt 1999,
        "Probabilistic Outputs for Support Vector Machines", section 2.2.
    """
    scores = np.asarray(log_probabilities, dtype=np.float64)
    n, k = scores.shape
    if n == 0:
        return 1.0
    wanted = np.full((n, k), 1.0 / (n + k))
    wanted[np.arange(n), targets] = (n + 1.0) / (n + k)
    low, high = _LOG_RANGE
    for _ in range(_HALVINGS):  # the loss is convex in 1/T, so its slope has one sign change
        middle = (low + high) / 2
        slope = ((apply_temperature(scores, np.exp(middle)) - wanted) * scores).sum()
        low, high = (middle, high) if slope > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def apply_temperature(log_probabilities: Floats, temperature: float) -> Floats:
    """Probabilities ``softmax(log p / T)``, shape (N, K)."""
    scaled = np.asarray(log_probabilities, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(scaled)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def reliability(probabilities: Floats, targets: Indices) -> list[dict[str, float]]:
    """Compare confidence with accuracy in equal intervals of the predicted class's probability.

    Args:
        probabilities: Of the classes, shape (N, K).
        targets: The true class of each example, shape (N,).

    Returns:
        A row for each interval that has examples: ``confidence`` and ``accuracy``, both means, and
        ``examples``.
    """
    confidence = probabilities.max(axis=1, initial=0.0)
    correct = probabilities.argmax(axis=1) == targets if len(targets) else np.zeros(0)
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == index].mean()),
            "accuracy": float(correct[bins == index].mean()),
            "examples": int((bins == index).sum()),
        }
        for index in np.unique(bins)
    ]


def calibration_error(rows: list[dict[str, float]]) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy over examples.

    Args:
        rows: The rows of ``reliability``.

    Example:
        >>> calibration_error([{"confidence": 0.75, "accuracy": 0.5, "examples": 4}])
        0.25
    """
    distance = sum(row["examples"] * abs(row["confidence"] - row["accuracy"]) for row in rows)
    return float(distance / sum(row["examples"] for row in rows))


def choose_threshold(probabilities: Floats, is_positive: NDArray[np.bool_]) -> float:
    """Find a probability from which on predicting the positive label has a high F1.

    The threshold with the highest F1 on the examples themselves depends on few of them: an example
    more or less moves it from 0.1 to 0.6, and on other texts it does worse than 0.5. So it is
    chosen on resamples (drawn with replacement), and the mean of their log-odds is the answer.

    Args:
        probabilities: Of the positive label, shape (N,).
        is_positive: Whether each example has it, shape (N,).

    Returns:
        The threshold, the same for the same examples; 0.5 without examples.

    References:
        Breiman 1996, "Bagging Predictors", section 2.
    """
    n = len(probabilities)
    if n == 0:
        return 0.5
    rng = np.random.default_rng(0)
    drawn = (rng.integers(n, size=n) for _ in range(_RESAMPLES))
    found = np.array([_highest_f1(probabilities[rows], is_positive[rows]) for rows in drawn])
    found = found.clip(*_THRESHOLDS)
    return float(1 / (1 + np.exp(-np.log(found / (1 - found)).mean())))


def _highest_f1(probabilities: Floats, is_positive: NDArray[np.bool_]) -> float:
    """The middle between two probabilities with the highest F1; of equal ones that nearest 0.5."""
    distinct = np.unique(probabilities)
    candidates = np.concatenate([[0.5], (distinct[1:] + distinct[:-1]) / 2])
    order = np.argsort(probabilities)
    hits = np.concatenate([[0], np.cumsum(is_positive[order])])  # positives below each place
    below = np.searchsorted(probabilities[order], candidates, side="left")
    true_positives = hits[-1] - hits[below]
    predicted = len(probabilities) - below
    f1 = 2 * true_positives / np.maximum(predicted + hits[-1], 1)
    best = candidates[f1 == f1.max()]
    return float(best[np.abs(best - 0.5).argmin()])
