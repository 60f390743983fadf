"""The baselines are fitted on the same splits, and find what the words give away."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sklearn import metrics as sk

from gpt_core.artifact import Artifact
from gpt_core.config import ClassificationConfig
from gpt_core.evaluation import baselines as module
from gpt_core.evaluation import fit_baselines
from gpt_core.text import read_example_splits, register_source, source_path

CONFIG = ClassificationConfig(balance="none")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder, rng = tmp_path_factory.mktemp("table"), random.Random(5)
    words = "the a at on we you call later free now meet home soon".split()  # noqa: SIM905
    rows = []
    for index in range(400):
        text = " ".join(rng.choices(words, k=12))
        label = "spam" if index % 5 == 0 else "ham"
        rows.append(f"{label}\t{index} {text}{' prize' if label == 'spam' else ''}\n")
    file = folder / "table.tsv"
    file.write_text("".join(rows), encoding="utf-8")
    return register_source(file, folder / "raw")


def test_the_linear_model_finds_the_word_and_the_majority_does_not(
    table: Artifact, tmp_path: Path
) -> None:
    report = fit_baselines(table, CONFIG, tmp_path / "report")
    metrics = report.metrics()
    assert metrics["linear_f1_positive"] > 0.9
    assert metrics["linear_auroc"] > 0.95
    assert metrics["majority_accuracy"] == pytest.approx(0.8, abs=0.01)
    assert metrics["majority_f1_positive"] == 0.0
    rows = pq.read_table(report.directory / "predictions.parquet").to_pydict()
    splits, _ = read_example_splits(source_path(table), CONFIG)
    assert rows["text"] == [example.text for example in splits.test]
    found = sk.f1_score(rows["expected"], rows["predicted"], pos_label="spam")
    assert metrics["linear_f1_positive"] == pytest.approx(found)
    assert metrics["linear_train_examples"] == len(splits.train)


def test_a_large_table_is_fitted_on_a_part_that_is_counted(
    table: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_CHARACTERS", 5000)
    metrics = fit_baselines(table, CONFIG, tmp_path / "report").metrics()
    assert 20 < metrics["linear_train_examples"] < 150


def test_without_a_validation_part_nothing_is_chosen(table: Artifact, tmp_path: Path) -> None:
    config = ClassificationConfig(balance="none", validation_share=0.0)
    metrics = fit_baselines(table, config, tmp_path / "report").metrics()
    assert (metrics["linear_c"], metrics["linear_temperature"]) == (30.0, 1.0)
    assert "linear_threshold" not in metrics
