"""Temperature, threshold and reliability equal independent computations."""

import math

import numpy as np
import pytest
from scipy import optimize, special

from gpt_core.evaluation.calibration import (
    _highest_f1,
    apply_temperature,
    calibration_error,
    choose_threshold,
    fit_temperature,
    reliability,
)


def drawn(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities that are three times too sure of themselves, and labels."""
    rng = np.random.default_rng()
    honest = special.log_softmax(rng.normal(size=(n, k)), axis=1)
    labels = np.array([rng.choice(k, p=np.exp(row)) for row in honest])
    return special.log_softmax(3 * honest, axis=1), labels


@pytest.mark.parametrize("k", [2, 5])
def test_the_temperature_is_where_scipy_finds_the_lowest_loss(k: int) -> None:
    scores, labels = drawn(3000, k)
    n = len(labels)
    wanted = np.full((n, k), 1 / (n + k))
    wanted[np.arange(n), labels] = (n + 1) / (n + k)

    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(scores / math.exp(log_temperature), axis=1)
        return float(-(wanted * scaled).sum(axis=1).mean())

    best = optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    found = fit_temperature(scores, labels)
    assert math.log(found) == pytest.approx(best.x, abs=1e-4)
    assert found == pytest.approx(3.0, rel=0.25)
    np.testing.assert_allclose(apply_temperature(scores, 2.0), special.softmax(scores / 2, axis=1))


def test_a_perfect_validation_part_does_not_make_every_probability_one() -> None:
    scores = np.log(np.array([[0.9, 0.1], [0.2, 0.8]] * 10))
    temperature = fit_temperature(scores, np.array([0, 1] * 10))
    assert 0.05 < temperature < 1
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 1.0


def test_the_calibration_error_equals_a_histogram_of_confidences() -> None:
    scores, labels = drawn(2000, 3)
    p = np.exp(scores)
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == labels
    edges = np.linspace(0, 1, 16)
    counts, _ = np.histogram(confidence, edges)
    sums, _ = np.histogram(confidence, edges, weights=confidence)
    hits, _ = np.histogram(confidence, edges, weights=correct.astype(float))
    wanted = np.abs(sums - hits).sum() / counts.sum()
    rows = reliability(p, labels)
    assert calibration_error(rows) == pytest.approx(wanted, abs=1e-9)
    assert [row["examples"] for row in rows] == counts[counts > 0].tolist()


def test_the_threshold_separates_labels_that_can_be_separated() -> None:
    is_positive = np.repeat([False, True], [30, 10])
    p = np.where(is_positive, 0.3, 0.1) + np.linspace(0, 0.05, 40)
    threshold = choose_threshold(p, is_positive)
    assert p[~is_positive].max() < threshold < p[is_positive].min()
    assert threshold == choose_threshold(p, is_positive)
    assert choose_threshold(np.zeros(0), np.zeros(0, dtype=bool)) == 0.5
    assert choose_threshold(np.array([0.0, 1.0]), np.array([False, True])) == pytest.approx(0.5)


def test_the_threshold_of_few_examples_does_as_well_on_others() -> None:
    rng = np.random.default_rng(1)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities that rank well but are too low, as of a classifier of rare positives."""
        is_positive = rng.random(n) < 0.15
        return 1 / (1 + np.exp(-rng.normal(3.5 * is_positive - 3.0, 1.2))), is_positive

    def f1(threshold: float) -> float:
        predicted = others[0] >= threshold
        return float(2 * (predicted & others[1]).sum() / (predicted.sum() + others[1].sum()))

    others = draw(20_000)
    losses = {"mean of resamples": [], "highest F1": []}
    best = max(f1(t) for t in np.linspace(0.1, 0.9, 41))
    for _ in range(20):
        few = draw(300)
        losses["mean of resamples"].append(best - f1(choose_threshold(*few)))
        losses["highest F1"].append(best - f1(_highest_f1(*few)))
    means = {name: np.mean(values) for name, values in losses.items()}
    assert means["mean of resamples"] < 0.8 * means["highest F1"]
    assert means["mean of resamples"] < 0.5 * (best - f1(0.5))


def test_the_threshold_of_a_resample_has_the_highest_f1_of_all() -> None:
    rng = np.random.default_rng()
    is_positive = rng.random(300) < 0.2
    p = np.clip(rng.normal(0.3, 0.15, 300) + 0.2 * is_positive, 0, 1).round(2)  # with ties

    def f1(threshold: float) -> float:
        predicted = p >= threshold
        return 2 * (predicted & is_positive).sum() / max(1, predicted.sum() + is_positive.sum())

    found = _highest_f1(p, is_positive)
    assert f1(found) == max(f1(t) for t in np.linspace(0, 1, 2001))
