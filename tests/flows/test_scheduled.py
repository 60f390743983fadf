"""Schedules of ``deployments.toml`` start runs that complete; what was missed is handled as set."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from gpt_core.config import load_config

pytestmark = [pytest.mark.long, pytest.mark.soak]

DEPLOYMENT = """
[[deployment]]
name = "{name}"
flow = "{flow}"
settings = ["source={source}"]
"""
GRACE = 10  # seconds
SKIP = f"missed = 'skip'\ngrace = {GRACE}\n"
LEADS = (20, 60, 180)  # seconds, for machines of different speed


def declare(small: list[str], missed: datetime, *, regular: bool) -> str:
    """A file of deployments.

    Args:
        small: Settings with a source.
        missed: When two of them start their first run, which is to be missed.
        regular: Whether another one starts a run every minute.
    """
    (source,) = (each.removeprefix("source=") for each in small if each.startswith("source="))

    def entry(name: str, *more: str, flow: str = "prepare") -> str:
        return DEPLOYMENT.format(name=name, flow=flow, source=source) + "".join(more)

    minutely = f"schedules = [{{ interval = 60, active = {str(regular).lower()} }}]\n"
    return "".join(
        [
            entry("caught-up", schedule(missed)),
            entry("skipped", SKIP, schedule(missed)),
            entry("regular", minutely),
            entry("paused", schedule(missed, active="false")),
            entry("tiny", pool("here"), flow="pretrain"),
        ]
    )


def schedule(first: datetime, active: str = "true") -> str:
    anchor = first.strftime("%Y-%m-%dT%H:%M:%S")
    return f"schedules = [{{ interval = 36_000, anchor = '{anchor}', active = {active} }}]\n"


def seconds_from_now(seconds: int) -> datetime:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


def pool(name: str) -> str:
    return f"pool = {{ name = '{name}' }}\n"


def due(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["expected_start_time"])


class Server:
    """The runs of deployments, asked from the server of a home."""

    def __init__(self, cli: Any) -> None:
        self.cli = cli

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a deployment in the order of their times."""
        wanted = {"deployments": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_ASC"}
        try:
            return list(self.cli.ask_prefect("flow_runs", wanted))
        except OSError:
            return []

    def runs_at(self, name: str, when: datetime) -> list[dict[str, Any]]:
        """The runs of a deployment that are due at a time."""
        return [run for run in self.runs(name) if due(run) == when]

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
    missed = miss_runs(server, file, small)

    started = datetime.now(UTC)
    file.write_text(declare(small, missed, regular=True), "utf-8")
    processes.append(module_cli.start("up"))
    skipped = server.ended(eventually(lambda: server.runs_at("skipped", missed))[0])
    assert (skipped["state_name"], skipped["run_count"]) == ("Missed", 0)
    assert "missed runs are skipped" in skipped["state"]["message"]
    caught_up = server.ended(server.runs_at("caught-up", missed)[0])
    assert (caught_up["state_name"], caught_up["auto_scheduled"]) == ("Completed", True)
    in_time = server.ended(eventually(lambda: server.runs("regular"))[0])
    assert (in_time["state_name"], in_time["auto_scheduled"]) == ("Completed", True)
    assert due(in_time) > started, "none of the time when nothing ran"
    assert server.runs("paused") == []
    assert list(module_cli.home.glob("data/shards/tiny-*/manifest.json"))


def miss_runs(server: Server, file: Path, small: list[str]) -> datetime:
    """Stop everything before runs are due, and wait until they are late; their time."""
    for lead in LEADS:
        missed = seconds_from_now(lead)
        file.write_text(declare(small, missed, regular=False), "utf-8")
        deployed = server.cli.run("deploy", str(file))
        assert deployed.code == 0, deployed.out + deployed.err
        assert "gptflow worker here   runs pretrain/tiny" in deployed.out
        names = ("caught-up", "skipped")
        while not all(server.runs_at(name, missed) for name in names):
            if datetime.now(UTC) > missed:
                break
            time.sleep(0.5)
        assert server.cli.run("down").out == "stopped\n"
        seconds = (missed - datetime.now(UTC)).total_seconds()
        if seconds > 0:
            time.sleep(seconds + GRACE + 1)
            return missed
    pytest.fail("this machine is too slow")


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
