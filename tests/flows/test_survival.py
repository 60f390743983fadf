"""Kill -9 of a run, of both servers and of everything: the run continues to the same bits.

Afterwards Prefect and MLflow tell the truth, each metric is there once, and no process is left.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import answers, eventually

from flows.declarations import FLOWS
from gpt_core.callbacks import read_records
from tasks.processes import running

pytestmark = [pytest.mark.long, pytest.mark.soak]

SETTINGS = (
    "training.steps=1200",
    "training.log_every=10",
    "training.eval_every=600",
    "training.sample_every=1200",
    "training.save_every=100",
    "training.keep_last=20",
    "model.dropout=0.1",
)
BACK_SECONDS = 120.0
"""Prefect and MLflow tell the truth at the latest so long after everything is back."""


@pytest.fixture(autouse=True)
def own_processes(module_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``running`` looks for the processes of the command line's home."""
    monkeypatch.setenv("GPTFLOW_HOME", str(module_cli.home))


def checkpoint(cli: Any, name: str, step: int) -> Path:
    pattern = f"data/checkpoints/{name}-*/step-{step:08}/model.safetensors"
    return next(cli.home.glob(pattern), cli.home / "none")


def start_up(cli: Any, small: list[str]) -> Any:
    """Start ``gptflow up`` and wait until it serves."""
    process = cli.start("up", *small, output=cli.home.parent / f"up-{time.time():.0f}.log")

    def serves() -> bool:
        try:
            found = cli.ask_prefect("deployments", {})
        except OSError:
            return False
        return len(found) == len(FLOWS) and (cli.home / ".prefect/mlflow-server.json").is_file()

    eventually(serves)
    return process


def server(cli: Any, file: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((cli.home / ".prefect" / file).read_text("utf-8"))
    return record


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def undisturbed(cli: Any, small: list[str], folder: Path) -> Path:
    """The directory of the same training without Prefect and MLflow, and without kills."""
    (shards,) = cli.home.glob("data/shards/killed-*")
    ignored = ("source", "classification.source", "instruction.source", "name")
    settings = [each for each in [*small, *SETTINGS] if each.partition("=")[0] not in ignored]
    subprocess.run(
        [sys.executable, "-m", "gpt_core", "train", "--shards", shards, "--out", folder, *settings],
        env=cli.environment(), cwd=cli.root, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_a_run_survives_kills_of_everything(
    module_cli: Any, small: list[str], tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    up = start_up(module_cli, small)
    (deployment,) = [
        each for each in module_cli.ask_prefect("deployments", {}) if each["name"] == "pretrain"
    ]
    settings = [*SETTINGS, "name=killed"]
    run = module_cli.call_prefect(
        f"deployments/{deployment['id']}/create_flow_run", {"parameters": {"settings": settings}}
    )

    eventually(lambda: checkpoint(module_cli, "killed", 300).is_file())
    kill(running(["worker"]))  # the run: its worker reports that, and starts it again

    eventually(lambda: checkpoint(module_cli, "killed", 600).is_file())
    (working,) = running(["worker"])
    os.kill(working, signal.SIGSTOP)  # so that it does not end before the servers are back
    servers = [server(module_cli, each) for each in ("server.json", "mlflow-server.json")]
    kill([each["pid"] for each in servers])
    eventually(lambda: all(each["pid"] != server(module_cli, file)["pid"] for file, each in zip(
        ("server.json", "mlflow-server.json"), servers, strict=True)))  # fmt: skip
    eventually(lambda: all(answers(each["url"].removesuffix("/api") + "/health") or
                           answers(each["url"] + "/health") for each in servers))  # fmt: skip
    assert state(module_cli, run)["name"] == "Running"
    os.kill(working, signal.SIGCONT)

    eventually(lambda: checkpoint(module_cli, "killed", 900).is_file())
    up.kill()
    kill(running(["worker", "prefect", "mlflow"]))
    up.wait()
    up = start_up(module_cli, small)
    back = time.monotonic()
    eventually(lambda: state(module_cli, run)["type"] != "RUNNING" or starts(module_cli, run) == 3)
    assert time.monotonic() - back < BACK_SECONDS
    eventually(lambda: state(module_cli, run)["type"] == "COMPLETED")
    count("kills of a run, of its servers and of everything, the same bytes", 3)

    assert starts(module_cli, run) == 3
    check_prefect(module_cli, run)
    whole = undisturbed(module_cli, small, tmp_path / "whole")
    expected = (whole / "step-00001200" / "model.safetensors").read_bytes()
    assert checkpoint(module_cli, "killed", 1200).read_bytes() == expected
    check_mlflow(module_cli, run, whole)
    assert module_cli.run("down").out == "stopped\n"
    assert running(["worker", "prefect", "mlflow"]) == []


def state(cli: Any, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = cli.call_prefect(f"flow_runs/{run['id']}")["state"]
    return found


def starts(cli: Any, run: dict[str, Any]) -> int:
    return int(cli.call_prefect(f"flow_runs/{run['id']}")["run_count"])


def check_prefect(cli: Any, run: dict[str, Any]) -> None:
    """The run's history says what happened, and nothing of it is open."""
    history = cli.call_prefect(f"flow_run_states/?flow_run_id={run['id']}")
    names = [each["name"] for each in sorted(history, key=lambda each: each["timestamp"])]
    assert (names[-1], names.count("Crashed") >= 2) == ("Completed", True), names
    tasks = cli.ask_prefect("task_runs", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert {each["state_type"] for each in tasks} <= {"COMPLETED", "CRASHED"}
    assert sum(each["state_type"] == "CRASHED" for each in tasks) == 2


def check_mlflow(cli: Any, run: dict[str, Any], whole: Path) -> None:
    """No run is open, and each loss is there once: that of the undisturbed run."""
    store = cli.mlflow_client()
    experiments = [each.experiment_id for each in store.search_experiments()]
    mine = f"tags.`prefect.flow_run` = '{run['id']}'"
    recorded = store.search_runs(experiments, mine)
    assert recorded
    assert {each.info.status for each in recorded} <= {"FINISHED"}
    (trained,) = [each for each in recorded if each.data.tags["stage"] == "pretrain"
                  and "mlflow.parentRunId" in each.data.tags]  # fmt: skip
    losses = store.get_metric_history(trained.info.run_id, "train/loss")
    expected = [row for row in read_records(whole / "metrics.jsonl") if "train/loss" in row]
    assert [each.step for each in losses] == [row["step"] for row in expected]
    assert [each.value for each in losses] == [row["train/loss"] for row in expected]
