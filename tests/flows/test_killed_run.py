"""A run that is killed or stopped and started again ends as if it had not been."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

pytestmark = pytest.mark.long

SETTINGS = (
    "training.steps=90",
    "training.log_every=1",
    "training.eval_every=30",
    "training.sample_every=90",
    "training.save_every=10",
    "generation.max_new_tokens=128",
    "training.keep_last=20",
    "model.dropout=0.1",
)
KILLS = (20, 50)
"""A kill comes as soon as the checkpoint of one of these steps exists."""


@pytest.fixture(scope="module")
def killed(module_cli: Any, small: list[str]) -> Any:
    """The home in which a run was killed twice, stopped in its last step, and then finished."""
    command = ("pretrain", *small, *SETTINGS, "name=killed")
    for step in KILLS:
        process = module_cli.start(*command)
        wait_for(module_cli, "killed", step, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not weights_of(module_cli, "killed", 90).is_file()
    end_in_the_last_step(module_cli, module_cli.start(*command))
    answer = module_cli.run(*command)
    assert answer.code == 0, answer.out + answer.err
    return module_cli


def end_in_the_last_step(cli: Any, process: Any) -> None:
    """Send SIGTERM while the run samples after its last step: the step is saved."""
    until = time.monotonic() + 120
    while not any('"step": 90, "train/loss"' in file.read_text("utf-8") for file in records(cli)):
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < until, "the last step was not reached"
        time.sleep(0.01)
    process.terminate()
    assert process.wait() == 128 + signal.SIGTERM
    assert weights_of(cli, "killed", 90).is_file()


def records(cli: Any) -> list[Path]:
    return list(cli.home.glob("data/checkpoints/killed-*/metrics.jsonl"))


@pytest.fixture(scope="module")
def undisturbed(killed: Any, small: list[str]) -> Any:
    """The same home after an uninterrupted run of the same settings."""
    for folder in (killed.home / "data" / "checkpoints").glob("killed-*"):
        folder.rename(folder.parent / f".{folder.name}")  # else it would be there already
    answer = killed.run("pretrain", *small, *SETTINGS, "name=undisturbed")
    assert answer.code == 0, answer.out + answer.err
    return killed


def weights_of(cli: Any, name: str, step: int) -> Path:
    pattern = f"data/checkpoints/*{name}-*/step-{step:08}/model.safetensors"
    return next(cli.home.glob(pattern), cli.home / "none")


def wait_for(cli: Any, name: str, step: int, process: Any) -> None:
    until = time.monotonic() + 120
    while not weights_of(cli, name, step).is_file():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until, f"step {step} was not reached"
        time.sleep(0.01)


def pretrain_runs(cli: Any, name: str) -> list[Run]:
    store = cli.mlflow_client()
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    runs = store.search_runs(experiments, "tags.stage = 'pretrain'")
    return [run for run in runs if run.data.tags.get("mlflow.parentRunId") in flows(cli, name)]


def flows(cli: Any, name: str) -> set[str]:
    store = cli.mlflow_client()
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    return {run.info.run_id for run in store.search_runs(experiments, f"params.name = '{name}'")}


def test_the_weights_are_those_of_an_undisturbed_run(undisturbed: Any) -> None:
    for step in (30, 60, 90):
        one, other = (weights_of(undisturbed, name, step) for name in ("killed", "undisturbed"))
        assert one.read_bytes() == other.read_bytes()


def test_mlflow_has_one_run_with_each_step_once(undisturbed: Any) -> None:
    (run,) = pretrain_runs(undisturbed, "killed")
    assert run.info.status == "FINISHED"
    history = undisturbed.mlflow_client().get_metric_history(run.info.run_id, "train/loss")
    assert [metric.step for metric in history] == list(range(1, 91))
    (other,) = pretrain_runs(undisturbed, "undisturbed")
    again = undisturbed.mlflow_client().get_metric_history(other.info.run_id, "train/loss")
    assert [metric.value for metric in history] == [metric.value for metric in again]


def test_the_flow_that_was_killed_is_one_run_too(undisturbed: Any) -> None:
    assert len(flows(undisturbed, "killed")) == 1
