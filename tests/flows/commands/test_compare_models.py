"""Checkpoints are compared on benchmarks: one table, each column cached."""

import json
import re
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def settings(
    second_cli: Any, small: list[str], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Two trained models and three benchmarks."""
    folder = tmp_path_factory.mktemp("benchmarks")
    passages = [{"text": f"once upon a time there were {n} words and then the end"} for n in (2, 3)]
    item = {"ctx": "A man", "endings": ["sits down.", "runs away.", "is."], "label": 1}
    (folder / "lambada.jsonl").write_text("\n".join(map(json.dumps, passages)), "utf-8")
    (folder / "hellaswag.jsonl").write_text(json.dumps(item), "utf-8")
    (folder / "text.txt").write_text("It was a dark night, and it was cold. " * 5, "utf-8")
    answers = second_cli.run_several(
        [["pretrain", *small], ["pretrain", *small, "training.steps=8"]]
    )
    assert [answer.code for answer in answers] == [0, 0], answers
    trained = [re.search(r"--checkpoint (\S+) ", answer.out) for answer in answers]
    names = json.dumps([str(Path(second_cli.root) / found[1]) for found in trained if found])
    return [
        "name=small",
        f"benchmarks.checkpoints={names}",
        f"benchmarks.lambada={folder / 'lambada.jsonl'}",
        f"benchmarks.hellaswag={folder / 'hellaswag.jsonl'}",
        f"benchmarks.text={folder / 'text.txt'}",
    ]


@pytest.mark.long
def test_every_checkpoint_is_measured_once(second_cli: Any, settings: list[str]) -> None:
    commands = [["compare-models", *settings]] * 2 + [["compare-models", "--dry-run", *settings]]
    first, second, plan = second_cli.run_several(commands)
    assert first.code == 0, first.out + first.err
    for name in ("lambada_accuracy", "hellaswag_normalized", "word_perplexity", "bits_per_byte"):
        assert re.search(rf"^{name} +[\d.,]+ +[\d.,]+$", first.out, re.M), first.out
    done = re.findall(r"^✓ (\w+) \([\d.]+ s\)", first.out, re.M)
    assert done == ["run_benchmarks", "run_benchmarks", "compare_models"]
    assert re.findall(r"^✓ (\w+) \([\d.]+ s\)", second.out, re.M) == []
    store = second_cli.mlflow_client()
    runs = store.search_runs([e.experiment_id for e in store.search_experiments()])
    made = next(run for run in runs if run.info.run_name == "compare_models small")
    files = {file.path for file in store.list_artifacts(made.info.run_id)}
    assert files == {"checkpoints.json", "checkpoints.png"}
    assert len(re.findall(r"^\w+ +done ", plan.out, re.M)) == 3


MISTAKES = [
    ([], "benchmarks.checkpoints must name at least one"),
    (["benchmarks.checkpoints=nowhere"], "benchmarks needs one of lambada, hellaswag and text"),
    (
        ["benchmarks.checkpoints=nowhere", "benchmarks.text=README.md"],
        "nowhere is not a directory, so it cannot be a checkpoint",
    ),
    (
        ["benchmarks.checkpoints=[]", "benchmarks.lambada=samples"],
        "benchmarks.checkpoints must name",
    ),
    (['benchmarks.checkpoints=["a/b", "c/b"]'], "benchmarks.checkpoints must differ"),
]


def test_what_is_missing_is_one_sentence(cli: Any) -> None:
    results = cli.run_several([["compare-models", *arguments] for arguments, _ in MISTAKES])
    for result, (arguments, sentence) in zip(results, MISTAKES, strict=True):
        assert sentence in result.user_error(), arguments
    assert not cli.home.exists()
