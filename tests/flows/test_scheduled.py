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
SKIP = "missed = 'skip'\ngrace = 10\n"
OFTEN, RARELY = 20, 36_000  # seconds


def declare(small: list[str], interval: int) -> str:
    """A file of deployments, two of them with schedules of this interval in seconds."""
    (source,) = (each.removeprefix("source=") for each in small if each.startswith("source="))

    def entry(name: str, *more: str, flow: str = "prepare") -> str:
        return DEPLOYMENT.format(name=name, flow=flow, source=source) + "".join(more)

    schedule = f"schedules = [{{ interval = {interval} }}]\n"
    return "".join(
        [
            entry("caught-up", schedule),
            entry("skipped", SKIP, schedule),
            entry("regular", "schedules = [{ interval = 60 }]\n"),
            entry("paused", "schedules = [{ interval = 5, active = false }]\n"),
            entry("tiny", pool("here"), flow="pretrain"),
        ]
    )


def pool(name: str) -> str:
    return f"pool = {{ name = '{name}' }}\n"


def due(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["expected_start_time"])


class Server:
    """The runs of deployments, asked from the server of a home."""

    def __init__(self, cli: Any) -> None:
        self.cli = cli

    def runs(self, name: str, state: str = "") -> list[dict[str, Any]]:
        """The runs of a deployment, all or those in a state, in the order of their times."""
        wanted = {"deployments": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_ASC"}
        try:
            found = self.cli.ask_prefect("flow_runs", wanted)
        except OSError:
            return []
        return [run for run in found if state in ("", run["state_name"])]

    def ended(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run, as soon as its state is final."""
        final = ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")

        def state() -> Any:
            found = self.cli.call_prefect(f"flow_runs/{run['id']}")
            return found["state_type"] in final and found

        ended: dict[str, Any] = eventually(state)
        return ended


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
    module_cli.home.mkdir(parents=True, exist_ok=True)
    file = module_cli.home / "deployments.toml"
    file.write_text(declare(small, OFTEN), "utf-8")
    deployed = module_cli.run("deploy", str(file))
    assert deployed.code == 0, deployed.out + deployed.err
    assert "gptflow worker here   runs pretrain/tiny" in deployed.out
    planned = {
        name: eventually(lambda name=name: server.runs(name)) for name in ("caught-up", "skipped")
    }
    assert module_cli.run("down").out == "stopped\n"

    # The server, the worker and gptflow up are all away when these are due.
    stopped = datetime.now(UTC)
    missed = {name: next(r for r in runs if due(r) > stopped) for name, runs in planned.items()}
    last = max(map(due, missed.values()))
    eventually(lambda: datetime.now(UTC) > last + timedelta(seconds=12))
    file.write_text(declare(small, RARELY), "utf-8")
    started = datetime.now(UTC)
    processes.append(module_cli.start("up"))
    eventually(lambda: server.runs("regular", "Completed"))

    caught = server.ended(missed["caught-up"])
    assert caught["state_name"] == "Completed"
    assert caught["auto_scheduled"]
    skipped = server.ended(missed["skipped"])
    assert skipped["state_name"] == "Missed"
    assert "missed runs are skipped" in skipped["state"]["message"]
    assert skipped["run_count"] == 0, "cancelled before anything was started"
    assert server.runs("paused") == []
    assert eventually(
        lambda: [run for run in server.runs("regular", "Completed") if due(run) > started]
    )
    assert list(module_cli.home.glob("data/shards/tiny-*/manifest.json"))


def test_a_run_that_is_started_too_late_ends_at_once(module_cli: Any) -> None:
    wanted = {"deployments": {"name": {"any_": ["paused"]}}}
    (deployment,) = module_cli.ask_prefect("deployments", wanted)
    past = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    run = module_cli.call_prefect(
        f"deployments/{deployment['id']}/create_flow_run",
        {
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": past}},
            "tags": ["auto-scheduled", "skip after 10 s"],
        },
    )
    ended = Server(module_cli).ended(run)
    assert (ended["state_name"], ended["run_count"]) == ("Missed", 1)


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
    (created,) = Server(module_cli).runs("tiny")
    run = Server(module_cli).ended(created)
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
