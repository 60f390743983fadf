"""``gptflow up`` serves every flow with a checked form, and Ctrl-C leaves nothing behind."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import answers, eventually

from flows.__main__ import FLOWS


@dataclass(frozen=True)
class Served:
    """A running ``gptflow up``."""

    cli: Any
    process: "subprocess.Popen[str]"
    api: str
    mlflow: str

    def deployments(self) -> dict[str, Any]:
        """The deployments by name, once all are registered."""
        found = eventually(
            lambda: len(all_ := self.cli.ask_prefect("deployments", {})) == len(FLOWS) and all_
        )
        return {each["name"]: each for each in found}

    def create_run(self, name: str, parameters: dict[str, object]) -> Any:
        """Start a run with the REST API, as the UI does."""
        deployment = self.deployments()[name]["id"]
        return self.cli.call_prefect(
            f"deployments/{deployment}/create_flow_run", {"parameters": parameters}
        )

    def stop(self) -> str:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=120)[0]


@pytest.fixture(scope="module")
def served(shared_cli: Any, small: list[str]) -> Iterator[Served]:
    command = [sys.executable, "-u", "-m", "flows", "up", "--cron", "0 3 * * *", *small]
    process = subprocess.Popen(
        command, cwd=shared_cli.root, env=shared_cli.environment(),
        stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(3)]
    servers = {line[0]: line[1] for line in lines}
    api = servers["Prefect"].replace("/deployments", "/api")
    made = Served(shared_cli, process, api, servers["MLflow"])
    yield made
    if process.poll() is None:
        made.stop()


def test_every_flow_is_deployed_with_its_form(served: Served) -> None:
    run = served.deployments()["run"]
    assert answers(served.mlflow)
    assert run["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    scheduled = {"flow_runs": {"deployment_id": {"any_": [run["id"]]}}}
    runs = eventually(lambda: served.cli.ask_prefect("flow_runs", scheduled))
    assert runs[0]["state_name"] == "Scheduled", "by the server's own scheduler"
    form = run["parameter_openapi_schema"]["definitions"]["TrainingConfig"]
    assert form["properties"]["steps"]["description"].startswith("Optimizer updates")
    assert run["parameters"]["config"]["training"]["steps"] == 12


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": {"training": {"steps": 30}}},
        {"preset": "small"},
        {"settings": "training.steps=30"},
    ],
    ids=["a part of the form", "an unknown preset", "text for a list"],
)
def test_the_server_refuses_wrong_parameters(served: Served, parameters: dict[str, object]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="409"):
        served.create_run("pretrain", parameters)


def test_the_server_refuses_a_value_that_is_out_of_range(served: Served) -> None:
    config = served.deployments()["pretrain"]["parameters"]["config"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        served.create_run(
            "pretrain", {"config": {**config, "training": {**config["training"], "steps": 0}}}
        )
    assert refused.value.code == 409
    assert "0 is less than the minimum of 1" in refused.value.read().decode()


@pytest.mark.usefixtures("served")
def test_a_wrong_run_is_refused_when_it_is_submitted(shared_cli: Any) -> None:
    wrong = shared_cli.run_several(
        [
            ["submit", "pretrain", "training.step=30"],
            ["submit", "pretrain", "--preset", "small"],
            ["submit", "train"],
            ["submit", "pretrain", "source=https://me:word@localhost/text.txt"],
            ["submit", "pretrain", "source=/nowhere"],
        ]
    )
    errors = [answer.user_error() for answer in wrong]
    assert "there is no setting training.step; did you mean" in errors[0]
    assert "there is no preset 'small'" in errors[1]
    assert "there is no flow 'train'; there are run, prepare" in errors[2]
    assert "must not hold a password" in errors[3]
    assert "'/nowhere' is neither a file or folder nor a named source" in errors[4]


@pytest.mark.usefixtures("served")
def test_a_submitted_run_changes_only_its_settings(shared_cli: Any) -> None:
    answer = shared_cli.run("submit", "pretrain", "training.steps=13", "--follow")
    assert answer.code == 0, answer.out + answer.err
    assert re.search(r"^train_tokenizer (was done before|is done in [\d.]+ s): /", answer.out, re.M)
    (trained,) = re.findall(r"pretrain is done in [\d.]+ s: (\S+)", answer.out)
    assert Path(trained).name == "step-00000013"
    config = json.loads((Path(trained) / "config.json").read_text(encoding="utf-8"))
    assert config["model"]["n_layer"] == 1, "of what was served, not of the preset"
    assert "completed in" in answer.out.splitlines()[-1]


def test_a_run_that_cannot_work_fails_with_its_sentence(served: Served) -> None:
    run = served.create_run("prepare", {"settings": ["source=nowhere"]})
    failed = eventually(
        lambda: (
            (state := served.cli.call_prefect(f"flow_runs/{run['id']}")["state"])["type"]
            == "FAILED"
            and state
        )
    )
    assert "'nowhere' is neither a file or folder nor a named" in failed["message"]


def test_ctrl_c_leaves_nothing_behind(served: Served, shared_cli: Any) -> None:
    rest = served.stop()
    assert served.process.returncode == 0, rest
    assert not answers(f"{served.api}/health")
    assert not answers(served.mlflow)
    assert not (shared_cli.home / ".prefect" / "server.json").exists()


def test_without_a_server_nothing_can_be_submitted(cli: Any) -> None:
    assert "start gptflow up first" in cli.run("submit", "prepare").user_error()
