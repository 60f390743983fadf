"""The printed result of predictions: what they come to, what was not read, where they are."""

import io
from pathlib import Path

from models import byte_classifier, byte_model
from rich.console import Console

from flows.predictions import print_predictions
from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig, PredictionConfig, RunConfig
from gpt_core.prediction import predict_file
from gpt_core.text import register_source


def printed(checkpoint: Artifact, file: Path, config: RunConfig) -> str:
    raw = register_source(file, file.parent / "raw" / file.name)
    out_dir, decoding = file.parent / f"report-{file.stem}", DecodingConfig(max_new_tokens=3)
    report = predict_file(checkpoint, raw, PredictionConfig(), decoding, out_dir)
    out = io.StringIO()
    print_predictions(Console(file=out, width=200), config, report, 3.0)
    return out.getvalue()


def test_labels_cut_texts_and_rows_without_a_text_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\nhello,ham\n,ham\nbuy,other\n")
    config = RunConfig(predict=PredictionConfig(out="mine.csv"))
    text = printed(byte_classifier(tmp_path / "model"), file, config)
    assert "3 rows, 1 of them could not be predicted" in text
    assert "rows a second" in text
    assert "of 1 labelled rows" in text
    assert "1 rows have labels that the classifier does not know" in text
    assert "not predicted: line 3: 'text' is blank" in text
    assert "predictions.parquet" in text
    assert "mine.csv" in text


def test_a_model_that_writes_has_no_labels(tmp_path: Path) -> None:
    file = tmp_path / "b.txt"
    file.write_text("Once\n")
    text = printed(byte_model(tmp_path / "model", 3), file, RunConfig())
    assert "1 rows, 0 of them could not be predicted" in text
    assert "accuracy" not in text
    assert "copy" not in text
