"""A model becomes a directory that transformers opens, once."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.declarations import FLOWS


def test_a_missing_model_is_pretrained_first(planned: Callable[..., list[str]]) -> None:
    assert planned("release")[-2:] == ["pretrain", "export_huggingface"]


@pytest.fixture(scope="module")
def settings(shared_cli: Any, small: list[str]) -> list[str]:
    trained = shared_cli.run("pretrain", *small)
    assert trained.code == 0, trained.out + trained.err
    checkpoint = next((shared_cli.home / "data" / "checkpoints").glob("small-*/step-*"))
    return [*small, f"checkpoint={checkpoint}"]


def test_a_model_is_released_once(shared_cli: Any, settings: list[str]) -> None:
    commands = [["release", *settings]] * 2 + [["release", "--dry-run", *settings]]
    *answers, plan = shared_cli.run_several(commands)
    assert [answer.code for answer in answers] == [0, 0], answers
    assert "✓ export_huggingface (there already)" in answers[1].out
    directory = re.search(r"(\S*data/releases/\S+)", answers[0].out)
    assert directory is not None
    names = {file.name for file in (Path(shared_cli.root) / directory[1]).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} < names
    assert re.findall(r"^(\w+) +done ", plan.out, re.M) == ["export_huggingface"]


def test_only_the_settings_that_a_release_reads_are_recorded(
    shared_cli: Any, settings: list[str]
) -> None:
    assert shared_cli.run("release", *settings).code == 0
    latest = shared_cli.ask_prefect("flow_runs", {"sort": "START_TIME_DESC"})[0]
    config = {"name", "checkpoint", *FLOWS["release"].common_sections}
    assert set(latest["parameters"]["config"]) == config
    store = shared_cli.mlflow_client()
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    newest = store.search_runs(
        experiments, "tags.stage = 'release'", order_by=["attributes.start_time DESC"]
    )[0]
    assert set(newest.data.params) == {"name", "checkpoint"}
