"""Seeds are summarized with the linear model on the same splits."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.evaluation import REPORT, compare_classifiers, summarize_classifiers
from gpt_core.files import read_json

F1, LINEAR = [0.95, 0.97, 0.93], [0.94, 0.95, 0.935]


def pair(folder: Path, seed: int, f1: float, linear: float) -> tuple[Artifact, Artifact]:
    config = [{"seed": seed, "split_seed": None}, {}]
    with new_artifact(folder / f"c{seed}", kind="checkpoint", config=config) as draft:
        draft.metrics |= {
            "test_accuracy": f1, "test_f1": f1, "test_f1_positive": f1, "test_accuracy_low": 0.8,
            "test_f1_positive_at_threshold": f1 + 0.01,
            "test_accuracy_high": 0.99, "validation_accuracy": 0.9 if seed == 2 else 0.8,
            "validation_loss": 0.3, "test_examples": 200.0, "train_examples": 800.0,
        }  # fmt: skip
        rows = {"expected": ["a"] * 8, "predicted": ["a"] * 7 + ["b"]}
        pq.write_table(pa.table(rows), draft.directory / "predictions.parquet")
    with new_artifact(folder / f"b{seed}", kind="report") as other:
        other.metrics |= {"linear_accuracy": linear, "linear_f1": linear}
        other.metrics |= {"linear_f1_positive": linear, "majority_accuracy": 0.5}
        other.metrics |= {"linear_f1_positive_at_threshold": linear - 0.01}
        rows = {"expected": ["a"] * 8, "predicted": ["b"] * 6 + ["a"] * 2}
        pq.write_table(pa.table(rows), other.directory / "predictions.parquet")
    return draft.artifact, other.artifact


def test_several_seeds_have_a_mean_an_interval_and_a_paired_test(tmp_path: Path) -> None:
    made = [pair(tmp_path, *row) for row in zip((1, 2, 3), F1, LINEAR, strict=True)]
    classifiers, baselines = zip(*made, strict=True)
    summary = summarize_classifiers(classifiers, baselines, "all", tmp_path / "summary")
    metrics = summary.metrics()
    assert metrics["f1_positive"] == pytest.approx(np.mean(F1))
    assert metrics["f1_positive_sd"] == pytest.approx(np.std(F1, ddof=1))
    low, high = stats.t.interval(0.95, 2, loc=np.mean(F1), scale=stats.sem(F1))
    assert (metrics["f1_positive_low"], metrics["f1_positive_high"]) == pytest.approx((low, high))
    assert metrics["linear_f1_positive"] == pytest.approx(np.mean(LINEAR))
    assert metrics["f1_positive_at_threshold"] == pytest.approx(np.mean(F1) + 0.01)
    assert metrics["linear_f1_positive_at_threshold"] == pytest.approx(np.mean(LINEAR) - 0.01)
    differences = np.subtract(F1, LINEAR)
    t = differences.mean() / np.sqrt(differences.var(ddof=1) * (1 / 3 + 200 / 800))
    assert metrics["paired_p"] == pytest.approx(2 * stats.t.sf(abs(t), 2))
    assert metrics["kept_seed"] == 2  # the best on validation, though not the best on test
    models = read_json(summary.directory / REPORT)["models"]
    assert [row["model"] for row in models] == [
        "all", "TF-IDF + logistic regression", "most frequent label",
    ]  # fmt: skip
    assert models[2]["accuracy"] == 0.5
    table = compare_classifiers([summary, summary], tmp_path / "table")
    rows = read_json(table.directory / REPORT)["classifiers"]
    assert [row["model"] for row in rows[:2]] == ["all", "all"]
    assert len(rows) == 4


def test_one_seed_has_its_own_interval_and_an_exact_test(tmp_path: Path) -> None:
    made = pair(tmp_path, 1, 0.95, 0.94)
    metrics = summarize_classifiers([made[0]], [made[1]], "", tmp_path / "summary").metrics()
    assert (metrics["accuracy_low"], metrics["accuracy_high"]) == (0.8, 0.99)
    assert "accuracy_sd" not in metrics
    # of the 7 texts on which they differ, each alone is right on 6 and 1
    assert metrics["paired_p"] == pytest.approx(stats.binomtest(1, 7).pvalue)
    assert metrics["paired_difference"] == pytest.approx(0.01)
