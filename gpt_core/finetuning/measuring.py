"""Calibrate a fine-tuned classifier on its validation part and measure it on its test part.

Shapes: N examples, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from gpt_core.artifact import Draft
from gpt_core.evaluation import (
    apply_temperature,
    choose_threshold,
    fit_temperature,
    measure_classifier,
    metrics_at_threshold,
)
from gpt_core.files import write_json
from gpt_core.text import Example

PREDICTIONS = pa.schema(
    [
        ("text", pa.string()),
        ("expected", pa.string()),
        ("predicted", pa.string()),
        ("probability", pa.float32()),
        ("loss", pa.float32()),
    ]
)
"""Columns of ``predictions.parquet``: the probability is that of the predicted label, the loss the
negative logarithm of the expected label's; both are calibrated."""

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and threshold of a classifier, from its validation part."""

    temperature: float
    """Divides the logits; 1 without a validation part."""

    positive: str | None
    """The label that the threshold is about."""

    threshold: float | None
    """The probability from which on it is predicted with the highest F1; for two labels."""


def calibrate(
    examples: Sequence[Example],
    log_probabilities: Tensor,
    labels: Sequence[str],
    positive: str | None,
) -> Calibration:
    """Fit the temperature, and choose the threshold for two labels.

    Args:
        examples: The validation part, maybe empty.
        log_probabilities: Of the labels, shape (N, K).
        labels: The label of each class.
        positive: The label whose F1 the threshold is chosen for, or None.
    """
    if not examples:
        return Calibration(1.0, positive, None)
    scores = log_probabilities.double().numpy()
    targets = np.array([labels.index(example.label) for example in examples])
    temperature = fit_temperature(scores, targets)
    if positive is None or len(labels) != 2:
        return Calibration(temperature, positive, None)
    column = labels.index(positive)
    probabilities = apply_temperature(scores, temperature)[:, column]
    return Calibration(temperature, positive, choose_threshold(probabilities, targets == column))


def write_test(
    draft: Draft,
    examples: Sequence[Example],
    log_probabilities: Tensor,
    labels: Sequence[str],
    calibration: Calibration,
) -> None:
    """Write metrics, predictions, the confusion matrix and the reliability of the test part.

    Args:
        draft: The unfinished checkpoint.
        examples: The test part, maybe empty.
        log_probabilities: Of the labels, shape (N, K).
        labels: The label of each class.
        calibration: Of the validation part.
    """
    expected, positive = [example.label for example in examples], calibration.positive
    scores = log_probabilities.double().numpy() if examples else np.zeros((0, len(labels)))
    raw = measure_classifier(expected, np.exp(scores), labels, positive)
    probabilities = apply_temperature(scores, calibration.temperature)
    found = measure_classifier(expected, probabilities, labels, positive)
    metrics = dict(found.metrics)
    metrics |= {f"{n}_uncalibrated": raw.metrics[n] for n in ("loss", "brier", "ece") if examples}
    draft.metrics["temperature"] = calibration.temperature
    if calibration.threshold is not None and positive is not None and examples:
        draft.metrics["threshold"] = calibration.threshold
        own = probabilities[:, labels.index(positive)]
        metrics |= metrics_at_threshold(expected, own, labels, positive, calibration.threshold)
    draft.metrics |= {f"test_{name}": value for name, value in metrics.items()}
    write_json(draft.directory / "confusion.json", found.confusion)
    write_json(draft.directory / "labels.json", found.labels)
    curves = {"calibrated": found.reliability, "uncalibrated": raw.reliability}
    write_json(draft.directory / "reliability.json", curves)
    rows = np.arange(len(examples))
    targets = [labels.index(label) for label in expected]
    best = probabilities.argmax(axis=1) if examples else rows
    columns = [
        [example.text for example in examples],
        expected,
        [labels[int(index)] for index in best],
        probabilities[rows, best],
        -np.log(np.maximum(probabilities[rows, targets], _TINY)),
    ]
    table = pa.table([list(column) for column in columns], schema=PREDICTIONS)
    pq.write_table(table, draft.directory / "predictions.parquet")
