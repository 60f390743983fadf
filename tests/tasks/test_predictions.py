"""Predictions as a stage: recorded with the model that they come from, copied where they belong."""

from pathlib import Path

import pandas as pd
import pytest
from models import byte_classifier
from prefect import flow

from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig, PredictionConfig, RunConfig
from gpt_core.errors import DataError
from tasks import stages
from tasks.predictions import copy_predictions
from tasks.tables import predicted_rows, prediction_counts
from tasks.tracking import client, tracked_flow
from tasks.tracking.models import log_model
from tasks.tracking.store import experiment_id


@pytest.fixture
def report(prefect_home: Path, tmp_path: Path) -> Artifact:
    """Predictions by a model that the store has."""
    file = tmp_path / "texts.csv"
    file.write_text("message,label\nhello,ham\nbuy now,spam\n ,ham\n")
    checkpoint = byte_classifier(tmp_path / "data" / "checkpoints" / "classifier")

    @flow
    def predict() -> Artifact:
        source = stages.fetch_corpus(str(file), "prediction")
        return stages.predict_file(
            checkpoint, source, PredictionConfig(), DecodingConfig(), None, {}
        )

    with tracked_flow("predict", RunConfig(name="small"), {}) as record:
        log_model(record.run_id, checkpoint, "classifier-ham-spam", record.experiment)
        return predict()


def test_a_run_has_the_model_that_it_read_counts_and_the_first_rows(report: Artifact) -> None:
    (found,) = client().search_runs([experiment_id()], "tags.stage = 'predict_file'")
    run = client().get_run(found.info.run_id)  # a search leaves the models out
    (model,) = [client().get_logged_model(each.model_id) for each in run.inputs.model_inputs]
    assert model.name == "classifier-ham-spam"
    (source,) = [
        each.dataset.name for each in run.inputs.dataset_inputs if "raw:" in each.dataset.name
    ]
    assert source.startswith("raw:texts-")
    metrics = run.data.metrics
    assert (metrics["rows"], metrics["unreadable_rows"], metrics["labelled_rows"]) == (3, 1, 2)
    assert 0 <= metrics["accuracy"] <= 1
    assert metrics["rows_per_second"] > 0
    table = client().download_artifacts(run.info.run_id, "first_rows.json")
    first = pd.read_json(table, orient="split")
    assert first["text"].tolist()[:2] == ["hello", "buy now"]
    counts = prediction_counts(report).set_index("what")
    assert counts["rows"].sum() == 3
    assert counts.loc["not predicted"].tolist() == [1, pytest.approx(1 / 3)]
    assert len(predicted_rows(report, 2)) == 2


def test_a_copy_is_parquet_or_csv_by_its_suffix_and_replaces_what_is_there(
    report: Artifact, tmp_path: Path
) -> None:
    for name in ("out.parquet", "out.CSV"):
        target = tmp_path / "new" / name
        for _ in range(2):
            assert copy_predictions(report, str(target)) == target
        original = report.directory / f"predictions{target.suffix.lower()}"
        assert target.read_bytes() == original.read_bytes()
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"out.parquet", "out.CSV"}
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        copy_predictions(report, str(tmp_path / "file" / "out.csv"))
