"""Baselines of a classifier: the most frequent label, and a linear model of words and characters.

They take seconds on the same splits, and say how much of a metric the data gives away.
"""

import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import REPORT, Artifact, new_artifact
from gpt_core.config import ClassificationConfig
from gpt_core.evaluation.calibration import Floats, apply_temperature, choose_threshold
from gpt_core.evaluation.calibration import fit_temperature as fit
from gpt_core.evaluation.classification import (
    ClassifierMetrics,
    classification_metrics,
    measure_classifier,
)
from gpt_core.files import Progress, write_json
from gpt_core.text import Example, ExampleSplits, positive_label, read_example_splits, source_path

PREDICTIONS = "predictions.parquet"
_STRENGTHS = (1.0, 10.0, 30.0, 100.0)  # C, the inverse of the regularization
_DEFAULT_STRENGTH = 30.0
_MAX_CHARACTERS = 8_000_000  # of the texts that the linear model is fitted on: about a minute
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class _Linear:
    """A fitted linear model and what was chosen for it on the validation part."""

    vectorizer: Any
    model: Any
    strength: float
    temperature: float
    n_train: int

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Calibrated probabilities of the labels, shape (N, K)."""
        if not texts:
            return np.zeros((0, len(self.model.classes_)))
        found = self.model.predict_proba(self.vectorizer.transform(texts))
        return apply_temperature(np.log(np.maximum(found, _TINY)), self.temperature)


def fit_baselines(
    examples: Artifact,
    config: ClassificationConfig,
    out_dir: Path,
    *,
    held: Mapping[str, Artifact] | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Fit and measure the baselines on the splits that a classifier has.

    The linear model is a logistic regression on TF-IDF of words (1 to 2) and of characters within
    words (2 to 5); its regularization, temperature and threshold are chosen on the validation part.
    Of a large training part it is fitted on random texts of 8 million characters, which the
    metric ``linear_train_examples`` shows.

    Args:
        examples: A registered table of texts and labels.
        config: How the table is read and split.
        out_dir: Directory of the report.
        held: The registered tables for ``validation`` and ``test``, where these are not split off.
        progress: Receives ``models``, one for each regularization that is tried.

    Returns:
        A report artifact with the metrics of the test part, named ``majority_...`` and
        ``linear_...``, and the linear model's ``predictions.parquet``.

    Raises:
        DataError: If the table cannot be read, or a split lacks a label.
    """
    started = time.perf_counter()
    files = {name: source_path(artifact) for name, artifact in (held or {}).items()}
    splits, file = read_example_splits(source_path(examples), config, files)
    counts = Counter(example.label for example in file.rows)
    positive, labels = positive_label(config.positive, counts), sorted(counts)
    linear = _fit_linear(splits, labels, positive, config.seed, progress)
    expected, texts = _columns(splits.test)
    probabilities = linear.probabilities(texts)
    measured = measure_classifier(expected, probabilities, labels, positive)
    metrics = _metrics(linear, splits, labels, positive, probabilities, measured)
    with new_artifact(
        out_dir, kind="report", config=config, parents=(examples, *(held or {}).values())
    ) as draft:
        draft.metrics |= metrics | {"fit_seconds": time.perf_counter() - started}
        write_json(draft.directory / REPORT, _content(metrics, measured))
        predicted = [labels[index] for index in probabilities.argmax(axis=1)] if texts else []
        rows = pa.table({"text": texts, "expected": expected, "predicted": predicted})
        pq.write_table(rows, draft.directory / PREDICTIONS)
    return draft.artifact


def _metrics(
    linear: _Linear,
    splits: ExampleSplits,
    labels: list[str],
    positive: str | None,
    probabilities: Floats,
    measured: ClassifierMetrics,
) -> dict[str, float]:
    """The metrics of both baselines, with their names before them."""
    threshold = _threshold_metrics(linear, splits, labels, positive, probabilities)
    metrics = {f"linear_{name}": value for name, value in (measured.metrics | threshold).items()}
    metrics |= {"linear_c": linear.strength, "linear_temperature": linear.temperature}
    metrics |= {"linear_train_examples": float(linear.n_train)}
    majority = _majority(splits, labels, positive)
    return metrics | {f"majority_{name}": value for name, value in majority.items()}


def _content(metrics: dict[str, float], measured: ClassifierMetrics) -> dict[str, object]:
    return {
        "metrics": metrics,
        "labels": measured.labels,
        "confusion": measured.confusion,
        "reliability": measured.reliability,
    }


def _columns(examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    """Labels and texts."""
    return [example.label for example in examples], [example.text for example in examples]


def _fit_linear(
    splits: ExampleSplits,
    labels: list[str],
    positive: str | None,
    seed: int,
    progress: Progress | None,
) -> _Linear:
    """Fit a model for each regularization and keep the best on the validation part."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    chosen = _within_limit(splits.train, seed)
    known, texts = _columns(chosen)
    vectorizer = _vectorizer()
    features = vectorizer.fit_transform(texts)
    expected, held_out = _columns(splits.validation)
    validation = vectorizer.transform(held_out) if held_out else None
    strengths = _STRENGTHS if held_out else (_DEFAULT_STRENGTH,)
    best: tuple[float, Any] | None = None
    for done, strength in enumerate(strengths, start=1):
        model = LogisticRegression(C=strength, max_iter=300)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # close enough to be compared with
            model.fit(features, known)
        score = 0.0
        if validation is not None:
            predicted = [str(label) for label in model.predict(validation)]
            score = _score(expected, predicted, labels, positive)
        if best is None or score > best[0]:
            best = (score, model)
        if progress is not None:
            progress("models", done, len(strengths))
    assert best is not None
    model, temperature = best[1], 1.0
    if validation is not None:
        scores = np.log(np.maximum(model.predict_proba(validation), _TINY))
        temperature = fit(scores, np.array([labels.index(label) for label in expected]))
    return _Linear(vectorizer, model, float(model.C), temperature, len(chosen))


def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )


def _within_limit(examples: Sequence[Example], seed: int) -> list[Example]:
    """All examples, or as many random ones as have ``_MAX_CHARACTERS`` characters together."""
    total = sum(len(example.text) for example in examples)
    if total <= _MAX_CHARACTERS:
        return list(examples)
    order = np.random.default_rng(seed).permutation(len(examples)).tolist()
    sizes = np.cumsum([len(examples[index].text) for index in order])
    kept = {index for index, size in zip(order, sizes, strict=True) if size <= _MAX_CHARACTERS}
    for label in {example.label for example in examples}:  # a model needs one of each
        kept.add(next(index for index in order if examples[index].label == label))
    return [examples[index] for index in sorted(kept)]


def _score(
    expected: list[str], predicted: list[str], labels: list[str], positive: str | None
) -> float:
    """The metric that chooses: F1 of the positive label, else the macro mean."""
    from sklearn.metrics import f1_score

    if positive is None:
        return classification_metrics(expected, predicted, labels)[0]["f1"]
    return float(
        f1_score(expected, predicted, labels=[positive], average="macro", zero_division=0.0)
    )


def _threshold_metrics(
    linear: _Linear,
    splits: ExampleSplits,
    labels: list[str],
    positive: str | None,
    probabilities: Floats,
) -> dict[str, float]:
    """The threshold that is best on the validation part, and what it gives on the test part."""
    if positive is None or len(labels) != 2 or not splits.validation or not splits.test:
        return {}
    column = labels.index(positive)
    expected, texts = _columns(splits.validation)
    is_positive = np.array([label == positive for label in expected])
    threshold = choose_threshold(linear.probabilities(texts)[:, column], is_positive)
    return {"threshold": threshold} | metrics_at_threshold(
        [example.label for example in splits.test], probabilities[:, column], labels, positive,
        threshold,
    )  # fmt: skip


def metrics_at_threshold(
    expected: Sequence[str],
    probabilities: Floats,
    labels: Sequence[str],
    positive: str,
    threshold: float,
) -> dict[str, float]:
    """Accuracy and the positive label's F1 where it is predicted from a probability on.

    Args:
        expected: The true label of each example, at least one.
        probabilities: Of the positive label, shape (N,).
        labels: Both labels.
        positive: One of them.
        threshold: Probability from which on it is predicted.
    """
    other = next(label for label in labels if label != positive)
    predicted = [positive if p >= threshold else other for p in probabilities]
    return {
        "accuracy_at_threshold": classification_metrics(expected, predicted, labels)[0]["accuracy"],
        "f1_positive_at_threshold": _score(list(expected), predicted, list(labels), positive),
    }


def _majority(splits: ExampleSplits, labels: list[str], positive: str | None) -> dict[str, float]:
    """Metrics of predicting the training part's most frequent label for every text."""
    counts = Counter(example.label for example in splits.train)
    most = max(labels, key=lambda label: counts[label])
    expected, _ = _columns(splits.test)
    if not expected:
        return {}
    metrics, _ = classification_metrics(expected, [most] * len(expected), labels)
    if positive is not None:
        metrics["f1_positive"] = _score(expected, [most] * len(expected), labels, positive)
    return metrics
