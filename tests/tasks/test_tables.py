"""Results as DataFrames, as a notebook asks for them."""

from pathlib import Path

import pandas as pd

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.evaluation import compare_tokenizers, write_report
from gpt_core.files import write_json
from tasks import tables

CUTS = [{"sentence": "a b", "tokens": 2, "pieces": ["a", " b"]}]


def report_on(name: str, folder: Path, **metrics: float) -> Artifact:
    config = {"tokenizers": [name]}
    return write_report(folder / name, metrics, {"sentences": CUTS}, config=config, parents=[])


def test_a_comparison_has_a_row_for_each_tokenizer(tmp_path: Path) -> None:
    reports = [report_on("byte", tmp_path, loss=2.0), report_on("bpe", tmp_path, loss=1.5, size=9)]
    comparison = compare_tokenizers(reports, tmp_path / "comparison")
    rows = tables.comparison(comparison)
    assert list(rows.columns) == ["tokenizer", "loss", "size"]
    assert rows.set_index("tokenizer")["loss"].to_dict() == {"byte": 2.0, "bpe": 1.5}
    assert rows["size"].isna().tolist() == [True, False]
    sentences = tables.report_table(comparison, "sentences")
    assert sentences["pieces"].tolist() == [["a", " b"], ["a", " b"]]


def test_a_report_is_a_table_of_metrics(tmp_path: Path) -> None:
    made = report_on("byte", tmp_path, loss=2.0, perplexity=7.4)
    assert tables.report(made).to_dict("list") == {
        "metric": ["loss", "perplexity"], "value": [2.0, 7.4]
    }  # fmt: skip
    assert tables.report_table(made, "lambada").empty


def test_predictions_answers_and_confusion_are_read_from_a_checkpoint(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["hello"], "expected": ["ham"], "predicted": ["spam"]})
    counts = [{"expected": "ham", "predicted ham": 0, "predicted spam": 1}]
    with new_artifact(tmp_path / "model", kind="checkpoint") as draft:
        frame.to_parquet(draft.directory / "predictions.parquet")
        frame.to_parquet(draft.directory / "answers.parquet")
        write_json(draft.directory / "confusion.json", counts)
    assert tables.predictions(draft.artifact).equals(frame)
    assert tables.answers(draft.artifact).equals(frame)
    assert tables.confusion(draft.artifact).to_dict("records") == counts


def test_the_worst_mistakes_come_first(tmp_path: Path) -> None:
    rows = {
        "text": list("abcd"), "expected": ["ham"] * 4, "predicted": ["spam", "ham", "spam", "spam"],
        "loss": [1.0, 9.0, 3.0, 2.0],
    }  # fmt: skip
    with new_artifact(tmp_path / "model", kind="checkpoint") as draft:
        pd.DataFrame(rows).to_parquet(draft.directory / "predictions.parquet")
        write_json(draft.directory / "labels.json", [{"label": "ham", "f1": 0.5}])
        write_json(draft.directory / "reliability.json", {"calibrated": [{"confidence": 0.5}]})
    assert list(tables.mistakes(draft.artifact, 2)["text"]) == ["c", "d"]
    assert tables.label_metrics(draft.artifact).to_dict("records") == [{"label": "ham", "f1": 0.5}]
    assert list(tables.reliability(draft.artifact)["calibrated"]["confidence"]) == [0.5]


def test_training_metrics_are_read_from_the_directory_of_a_run(tmp_path: Path) -> None:
    lines = '{"step": 10, "train/loss": 5.0}\n{"step": 20, "train/loss": 4.0}\n{"st'
    (tmp_path / "metrics.jsonl").write_text(lines)
    (tmp_path / "samples.jsonl").write_text('{"step": 20, "prompt": "a", "text": "b"}\n')
    checkpoint = Artifact(kind="checkpoint", path=str(tmp_path / "step-00000020"), fingerprint="")
    assert tables.training_metrics(checkpoint)["train/loss"].tolist() == [5.0, 4.0]
    assert tables.training_samples(checkpoint)["text"].tolist() == ["b"]


def test_cleaning_rules_have_counts_and_an_example(tmp_path: Path) -> None:
    rule = {
        "documents": 3, "characters_removed": 7, "examples": [{"before": "a  b", "after": "a b"}]
    }  # fmt: skip
    with new_artifact(tmp_path / "corpus", kind="documents") as draft:
        write_json(draft.directory / "report.json", {"rules": {"spaces": rule}})
    assert tables.rules(draft.artifact).to_dict("records") == [
        {"rule": "spaces", "documents": 3, "characters_removed": 7, "before": "a  b",
         "after": "a b"}
    ]  # fmt: skip
