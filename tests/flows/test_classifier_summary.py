"""The last lines name the baselines next to the classifier."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from flows.classifier_summary import print_classifier_table, sentences
from flows.summary import print_result
from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import RunConfig
from gpt_core.files import write_json

MODELS = [
    {"model": "classifier", "accuracy": 0.98, "accuracy_low": 0.97, "accuracy_high": 0.99,
     "f1_positive": 0.95, "ece": 0.01},
    {"model": "TF-IDF + logistic regression", "accuracy": 0.9881, "f1_positive": 0.9548},
    {"model": "most frequent label", "accuracy": 0.866, "f1_positive": 0.0},
]  # fmt: skip


def artifact(folder: Path, kind: str, config: object = None, **metrics: float) -> Artifact:
    with new_artifact(folder, kind=kind, config=config) as draft:
        rows = [{**row, "published": 0.95 if index == 0 else None} for index, row in
                enumerate(MODELS)]  # fmt: skip
        write_json(draft.directory / "report.json", {"models": MODELS, "classifiers": rows})
        shape = {"n_layer": 1, "n_head": 1, "n_embd": 8, "vocab_size": 9, "context_length": 4}
        description = {"kind": "classifier", "step": 1, "labels": ["ham", "spam"], "model": shape}
        write_json(draft.directory / "config.json", {**description, "positive": "spam"})
        draft.metrics.update(metrics)
    return draft.artifact


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    return Console(file=io.StringIO(), width=60)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_classifier_is_printed_next_to_its_baselines(console: Console, tmp_path: Path) -> None:
    made = {
        "classifier": artifact(tmp_path / "model", "checkpoint"),
        "comparison": artifact(
            tmp_path / "report", "report", "", seeds=1.0, kept_seed=1.0, paired_difference=-0.0048,
            paired_p=0.61,
        ),
    }  # fmt: skip
    print_result(console, RunConfig(), made, 12.4, "http://127.0.0.1:4200/api")
    text = text_of(console)
    assert "F1 of 'spam'" in text
    assert "0.9800 [0.970, 0.990]" in text
    assert "TF-IDF + logistic regression  0.9881" in text
    assert "F1 -0.0048 against the linear model, which may be chance (p = 0.61, McNemar's" in text
    assert "  checkpoint     model\n" in text
    assert '  look inside    gptflow anatomy --checkpoint model "..."' in text


def test_several_seeds_say_which_one_is_kept() -> None:
    first, second = sentences(
        {"seeds": 5.0, "kept_seed": 1339.0, "paired_difference": 0.02, "paired_p": 0.004}
    )
    assert "5 seeds" in first
    assert "seed 1339 is kept, the best on its validation part" in first
    assert "hardly chance (p = 0.004, paired t-test over the seeds)" in second


def test_published_accuracies_are_marked_as_not_run_here(console: Console, tmp_path: Path) -> None:
    print_classifier_table(console, artifact(tmp_path / "table", "report"), 3.0)
    text = text_of(console)
    assert "published accuracy" in text
    assert "not run here" in text
