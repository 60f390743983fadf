"""Schedules of ``deployments.toml`` start runs that complete; what was missed is handled as set."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from waiting import eventually

from gpt_core.config import load_config

pytestmark = pytest.mark.long

DEPLOYMENT = """
[[deployment]]
name = "{name}"
flow = "{flow}"
settings = ["source={source}"]
"""
SCHEDULE = "schedules = [{{ interval = {interval}, anchor = '{anchor}' }}]\n"
SKIP = "missed = 'skip'\ngrace = 10\n"


def declare(small: list[str], due: datetime) -> str:
    """Deployments whose first scheduled runs are due at the same time."""
    (source,) = (each.removeprefix("source=") for each in small if each.startswith("source="))
    anchor = due.strftime("%Y-%m-%dT%H:%M:%S")
    hourly = SCHEDULE.format(interval=3600, anchor=anchor)

    def entry(name: str, *more: str, flow: str = "prepare") -> str:
        return DEPLOYMENT.format(name=name, flow=flow, source=source) + "".join(more)

    return "".join(
        [
            entry("regular", SCHEDULE.format(interval=60, anchor=anchor)),
            entry("caught-up", hourly),
            entry("skipped", SKIP, hourly),
            entry("paused", hourly.replace(" }]", ", active = false }]")),
            entry("unserved", SKIP, hourly, "pool = { name = 'nobody' }\n"),
            entry("tiny", "pool = { name = 'here' }\n", flow="pretrain"),
        ]
    )


class Server:
    """The runs of deployments, asked from the server of a home."""

    def __init__(self, cli: Any) -> None:
        self.cli = cli

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a deployment, in the order of their times."""
        try:
            question = {
                "deployments": {"name": {"any_": [name]}},
                "sort": "EXPECTED_START_TIME_ASC",
            }
            return list(self.cli.ask_prefect("flow_runs", question))
        except OSError:
            return []

    def first_ended(self, name: str) -> Any:
        """The first run, as soon as its state is final."""
        final = ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")
        return eventually(
            lambda: (found := self.runs(name)) and found[0]["state_type"] in final and found[0]
        )


@pytest.fixture(scope="module")
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        process.wait(60)


def test_schedules_start_runs_and_missed_ones_are_handled_as_set(
    module_cli: Any, small: list[str], processes: list["subprocess.Popen[bytes]"]
) -> None:
    server = Server(module_cli)
    first = module_cli.run("deploy", "--dry-run", "nothing.toml")
    assert "nothing.toml does not exist" in first.user_error()
    module_cli.home.mkdir(parents=True, exist_ok=True)
    file = module_cli.home / "deployments.toml"

    # Everything is away when the runs are due: the server, the worker and gptflow up.
    due = datetime.now(UTC) + timedelta(seconds=45)
    file.write_text(declare(small, due), "utf-8")
    deployed = module_cli.run("deploy", str(file))
    assert deployed.code == 0, deployed.out + deployed.err
    assert "gptflow worker here   runs pretrain/tiny" in deployed.out
    for name in ("caught-up", "skipped"):
        eventually(lambda name=name: server.runs(name))
    assert module_cli.run("down").out == "stopped\n"
    assert datetime.now(UTC) < due, "this machine is too slow for the test"
    eventually(lambda: datetime.now(UTC) > due + timedelta(seconds=15))

    processes.append(module_cli.start("up"))
    caught = server.first_ended("caught-up")
    assert caught["state_name"] == "Completed"
    assert caught["auto_scheduled"]
    assert datetime.fromisoformat(caught["expected_start_time"]) < due + timedelta(seconds=1)
    skipped = server.first_ended("skipped")
    assert skipped["state_name"] == "Missed"
    assert "missed runs are skipped" in skipped["state"]["message"]
    unserved = server.first_ended("unserved")
    assert unserved["state_name"] == "Missed"
    assert unserved["run_count"] == 0, "cancelled on the server, without a worker"
    assert {run["state_name"] for run in server.runs("paused")} == set()

    def in_time() -> Any:
        """A run that started in time, which is one that was not missed."""
        return [
            run
            for run in server.runs("regular")
            if run["state_name"] == "Completed" and run["estimated_start_time_delta"] < 30
        ]

    assert eventually(in_time)[0]["auto_scheduled"]
    assert list(module_cli.home.glob("data/shards/tiny-*/manifest.json"))


def test_a_worker_trains_the_preset_with_the_settings_of_prefects_own_command(
    module_cli: Any, processes: list["subprocess.Popen[bytes]"]
) -> None:
    processes.append(module_cli.start("worker", "here"))
    folder = module_cli.home / ".prefect"
    api = eventually(lambda: module_cli.call_prefect("work_pools/here"))
    assert api["type"] == "process"

    url = json.loads((folder / "server.json").read_text("utf-8"))["url"]
    environment = {
        **module_cli.environment(),
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": (folder / "password").read_text("utf-8"),
    }
    command = ["deployment", "run", "pretrain/tiny", "-p", 'settings=["training.steps=30"]']
    started = subprocess.run(
        [sys.executable, "-m", "prefect", *command], env=environment, cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert started.returncode == 0, started.stdout + started.stderr
    run = Server(module_cli).first_ended("tiny")
    assert run["state_name"] == "Completed", run["state"]
    assert run["work_pool_name"] == "here"
    (trained,) = module_cli.home.glob("data/checkpoints/tiny-*/step-00000030")
    config = json.loads((trained / "config.json").read_text("utf-8"))

    assert config["model"]["n_layer"] == load_config("tiny").model.n_layer


def test_down_ends_the_worker_too(
    module_cli: Any, processes: list["subprocess.Popen[bytes]"]
) -> None:
    assert module_cli.run("down").out == "stopped\n"
    assert [process.wait(30) is not None for process in processes] == [True, True]
