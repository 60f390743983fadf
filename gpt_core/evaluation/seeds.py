"""Summarize classifiers of several seeds with their baselines, and compare such summaries."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from gpt_core.artifact import REPORT, Artifact
from gpt_core.evaluation.baselines import PREDICTIONS
from gpt_core.evaluation.intervals import mcnemar_p_value, paired_p_value, t_interval
from gpt_core.evaluation.published import PUBLISHED
from gpt_core.evaluation.report import Rows, write_report
from gpt_core.files import read_json

METRICS = (
    "accuracy", "f1", "f1_weighted", "f1_positive", "f1_positive_at_threshold", "auroc", "brier",
    "ece",
)  # fmt: skip
_BASELINES = ("linear", "majority")


def summarize_classifiers(
    classifiers: Sequence[Artifact], baselines: Sequence[Artifact], label: str, out_dir: Path
) -> Artifact:
    """Compare classifiers that differ in their seeds with the baselines on the same splits.

    Args:
        classifiers: Made by ``finetune_classifier``, one for each seed.
        baselines: Made by ``fit_baselines`` on the same splits, in the same order.
        label: What the classifiers are called in a comparison; may be empty.
        out_dir: Directory of the report.

    Returns:
        A report artifact. Its metrics are means over the seeds on the test part: ``accuracy`` with
        ``accuracy_sd`` and the 95 % interval ``accuracy_low`` and ``accuracy_high`` (Student's t;
        of one seed Wilson's, and a bootstrap for F1), likewise the others, ``linear_...`` and
        ``majority_...``; ``paired_difference`` to the linear model with ``paired_p``; the seed that
        is kept, ``kept_seed``, which is the best on its validation part. Tables: ``models`` and
        ``seeds``.
    """
    seeds = [_seed_row(*pair) for pair in zip(classifiers, baselines, strict=True)]
    kept = max(seeds, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    metrics = {"seeds": float(len(seeds)), "kept_seed": kept["seed"]}
    for prefix in ("", *(f"{name}_" for name in _BASELINES)):
        for metric in METRICS:
            metrics |= _over_seeds(f"{prefix}{metric}", seeds)
    metrics |= _paired(classifiers, baselines, seeds)
    parents = [*classifiers, *baselines]
    tables: dict[str, Sequence[Mapping[str, object]]] = {
        "models": _model_rows(metrics, label),
        "seeds": seeds,
    }
    return write_report(out_dir, metrics, tables, config=label, parents=parents)


def compare_classifiers(summaries: Sequence[Artifact], out_dir: Path) -> Artifact:
    """Merge summaries of several ways of fine-tuning into one table.

    Args:
        summaries: Made by ``summarize_classifiers``, each with a label.
        out_dir: Directory of the report.

    Returns:
        A report artifact with a row for each summary, and one for each baseline of the first, in
        the table ``classifiers``; ``published`` is the accuracy of ``PUBLISHED``, not run here.
    """
    contents = [read_json(summary.directory / REPORT) for summary in summaries]
    rows: Rows = []
    for content in contents:
        row = content["models"][0]
        way = row["model"].partition(" ")[0]
        rows.append({**row, "published": PUBLISHED.get(way)})
    rows += contents[0]["models"][1:] if contents else []
    metrics = {"classifiers": float(len(summaries))}
    return write_report(
        out_dir, metrics, {"classifiers": rows}, config="classifiers", parents=summaries
    )


def _seed_row(classifier: Artifact, baseline: Artifact) -> dict[str, float]:
    """The metrics of one seed."""
    found, linear = classifier.metrics(), baseline.metrics()
    row = {"seed": float(_setting(classifier, "seed") or 0)}
    row |= {f"validation_{n}": found.get(f"validation_{n}", 0.0) for n in ("accuracy", "loss")}
    for metric in METRICS:
        for end in ("", "_low", "_high"):
            if f"test_{metric}{end}" in found:
                row[f"{metric}{end}"] = found[f"test_{metric}{end}"]
            for name in _BASELINES:
                if f"{name}_{metric}{end}" in linear:
                    row[f"{name}_{metric}{end}"] = linear[f"{name}_{metric}{end}"]
    return row


def _setting(classifier: Artifact, name: str) -> int | None:
    """A setting of the classifier's fine-tune."""
    config = classifier.manifest().config
    first = config[0] if isinstance(config, list) and config else {}
    value = first.get(name) if isinstance(first, Mapping) else None
    return value if isinstance(value, int) else None


def _over_seeds(metric: str, seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean, deviation and interval of a metric; nothing if it was not measured."""
    values = [row[metric] for row in seeds if metric in row]
    if not values:
        return {}
    if len(values) == 1:
        ends = {f"{metric}{end}": seeds[0].get(f"{metric}{end}") for end in ("_low", "_high")}
        return {metric: values[0]} | {n: value for n, value in ends.items() if value is not None}
    found = t_interval(values)
    return {
        metric: found.mean,
        f"{metric}_sd": found.sd,
        f"{metric}_low": found.low,
        f"{metric}_high": found.high,
    }


def _paired(
    classifiers: Sequence[Artifact],
    baselines: Sequence[Artifact],
    seeds: Sequence[Mapping[str, float]],
) -> dict[str, float]:
    """The difference to the linear model on the same splits, and whether it may be chance."""
    metric = "f1_positive" if "f1_positive" in seeds[0] else "f1"
    if metric not in seeds[0]:
        return {}
    differences = [row[metric] - row[f"linear_{metric}"] for row in seeds]
    difference = {"paired_difference": sum(differences) / len(differences)}
    if len(seeds) == 1:
        correct = [_correct(artifact) for artifact in (classifiers[0], baselines[0])]
        return {**difference, "paired_p": mcnemar_p_value(*correct)}
    counts = classifiers[0].metrics()
    shared = _setting(classifiers[0], "split_seed") is not None
    ratio = 0.0 if shared else counts["test_examples"] / counts["train_examples"]
    return {**difference, "paired_p": paired_p_value(differences, ratio)}


def _correct(artifact: Artifact) -> list[bool]:
    """Whether each prediction of the test part is right."""
    rows = pq.read_table(artifact.directory / PREDICTIONS, columns=["expected", "predicted"])
    pairs = zip(*(column.to_pylist() for column in rows.columns), strict=True)
    return [expected == predicted for expected, predicted in pairs]


def _model_rows(metrics: Mapping[str, float], label: str) -> Rows:
    """A row for the classifiers and one for each baseline, with the same columns."""
    names = {"": label or "classifier", "linear_": "TF-IDF + logistic regression"}
    names["majority_"] = "most frequent label"
    rows: Rows = []
    for prefix, name in names.items():
        row: dict[str, object] = {"model": name}
        for metric in METRICS:
            for end in ("", "_sd", "_low", "_high"):
                if f"{metric}{end}" in metrics:
                    row[f"{metric}{end}"] = metrics.get(f"{prefix}{metric}{end}")
        rows.append(row)
    rows[0] |= {n: metrics[n] for n in ("seeds", "paired_difference", "paired_p") if n in metrics}
    return rows
