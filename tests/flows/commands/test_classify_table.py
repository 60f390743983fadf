"""Ways of fine-tuning a classifier, side by side, by one command."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.commands.classify_table import settings_of
from gpt_core.config import load_config

ROWS = 'ablation.rows=["head", "padded"]'


def test_every_row_and_model_is_planned_with_every_seed(
    planned: Callable[..., list[str]], checkpoint: str
) -> None:
    shape = {"n_layer": 1, "n_head": 1, "n_embd": 8, "vocab_size": 9, "context_length": 4}
    description = {"kind": "pretrained", "step": 1, "model": shape}
    (Path(checkpoint) / "config.json").write_text(json.dumps(description))
    settings = [f"checkpoint={checkpoint}", ROWS, "classification.seeds=2"]
    row = ["fit_baselines", "finetune_classifier"] * 2 + ["summarize_classifiers"]
    assert planned("classify-table", *settings) == [*row * 2, "compare_classifiers"]
    more = f'ablation.checkpoints=["{checkpoint}"]'
    assert planned("classify-table", *settings, more) == [*row * 4, "compare_classifiers"]


def test_the_rows_are_the_tutorials() -> None:
    config = load_config(settings=["classification.epochs=7"])
    found = {row: settings_of(row, config, 1024) for row in config.ablation.rows}
    assert {row: (c.trainable_blocks, c.token, c.pad_to) for row, (c, _) in found.items()} == {
        "head": (0, "last", None),
        "last-block": (1, "last", None),
        "first-token": (1, "first", None),
        "padded": (1, "last", 120),
        "padded-context": (1, "last", 1024),
        "all": (None, "last", None),
        "lora": (None, "last", None),
    }
    assert {row for row, (_, lora) in found.items() if lora.rank} == {"lora"}
    assert {c.epochs for c, _ in found.values()} == {7}
    assert settings_of("padded", config, 64)[0].pad_to == 64


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_table_of_two_rows_and_two_seeds(shared_cli: Any, small: list[str]) -> None:
    command = ["classify-table", *small, ROWS, "classification.seeds=2"]
    first, second = shared_cli.run_several([command, command])
    assert first.code == second.code == 0, first.out + first.err + second.out + second.err
    assert re.findall(r"^✓ (\w+) \([\d.]+ s\)", second.out, re.M) == []  # each row is cached
    report = re.search(r"^  report +(\S+)$", first.out, re.M)
    assert report is not None
    rows = json.loads((Path(shared_cli.root) / report[1] / "report.json").read_text())
    models = [row["model"] for row in rows["classifiers"]]
    assert models == ["head", "padded", "TF-IDF + logistic regression", "most frequent label"]
    for row in rows["classifiers"][:2]:
        assert row["seeds"] == 2
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
        assert row["accuracy_sd"] >= 0
    for text in ("0.7200", "0.9500", "not run here", "TF-IDF + logistic regression"):
        assert text in first.out
    store = shared_cli.mlflow_client()
    experiments = [each.experiment_id for each in store.search_experiments()]
    runs = store.search_runs(experiments)
    names = [run.info.run_name for run in runs if run.data.tags.get("stage", "").endswith("ifiers")]
    assert {"summarize_classifiers head", "summarize_classifiers padded"} <= set(names)
    table = next(run for run in runs if run.data.tags.get("stage") == "compare_classifiers")
    files = {each.path for each in store.list_artifacts(table.info.run_id)}
    assert {"classifiers.json", "classifiers.png"} <= files
