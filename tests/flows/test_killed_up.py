"""A schedule's runs start and complete; ``down`` ends what a killed ``gptflow up`` leaves."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from waiting import eventually

from flows.declarations import FLOWS
from tasks.processes import running

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def up(module_cli: Any, small: list[str]) -> Iterator[Any]:
    """A running ``gptflow up``, and its deployments by name."""
    process = module_cli.start("up", *small)
    record = module_cli.home / ".prefect" / "server.json"
    eventually(
        lambda: record.is_file() and (module_cli.home / ".prefect/mlflow-server.json").is_file()
    )

    def deployments() -> Any:
        try:
            found = module_cli.ask_prefect("deployments", {})
        except OSError:
            return None
        return {each["name"]: each for each in found} if len(found) == len(FLOWS) else None

    process.deployments = eventually(deployments)
    yield process
    process.kill()
    process.wait()


def schedule(cli: Any, deployment: str, seconds: float, *, active: bool) -> None:
    due = datetime.now(UTC) + timedelta(seconds=seconds)
    # Every minute, because the first time is past if the server is slow to take the schedule.
    times = {"interval": 60.0, "anchor_date": due.isoformat(), "timezone": "UTC"}
    cli.call_prefect(f"deployments/{deployment}/schedules", [{"schedule": times, "active": active}])


def runs(cli: Any, deployment: str) -> list[dict[str, Any]]:
    found = cli.ask_prefect("flow_runs", {"flow_runs": {"deployment_id": {"any_": [deployment]}}})
    return [run for run in found if run["state_name"] != "Scheduled"]


def test_a_scheduled_run_completes_and_a_paused_schedule_starts_nothing(
    up: Any, module_cli: Any
) -> None:
    active, paused = (up.deployments[name]["id"] for name in ("prepare", "run"))
    schedule(module_cli, paused, 2.0, active=False)
    schedule(module_cli, active, 4.0, active=True)
    completed = eventually(
        lambda: [each for each in runs(module_cli, active) if each["state_name"] == "Completed"]
    )
    assert completed[0]["auto_scheduled"]
    assert list(module_cli.home.glob("data/shards/small-*/manifest.json"))
    assert runs(module_cli, paused) == []
    secret = (module_cli.home / ".prefect" / "password").read_bytes()
    written = [path for path in module_cli.home.rglob("*") if path.is_file()]
    assert [path.name for path in written if secret in path.read_bytes()] == ["password"]


def test_down_ends_what_a_killed_up_left(
    up: Any, module_cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("GPTFLOW_HOME", str(module_cli.home))
    deployment = up.deployments["pretrain"]["id"]
    module_cli.call_prefect(
        f"deployments/{deployment}/create_flow_run",
        {"parameters": {"settings": ["training.steps=1000000"]}},
    )
    eventually(lambda: [each["state_name"] for each in runs(module_cli, deployment)] == ["Running"])
    assert "runs already in" in module_cli.run("up").user_error()
    up.send_signal(signal.SIGKILL)
    up.wait()
    assert running(["worker"])
    assert len(running(["prefect", "mlflow"])) >= 2
    neighbour = type(module_cli)(tmp_path / "neighbour", module_cli.root)
    assert neighbour.run("down").out.startswith("nothing runs in")
    assert running(["worker"])
    assert module_cli.run("down").out == "stopped\n"
    assert running(["worker", "prefect", "mlflow"]) == []
    assert module_cli.run("down").out.startswith("nothing runs in")
