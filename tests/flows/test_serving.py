"""``gptflow up`` serves every flow with a checked form, and Ctrl-C leaves nothing behind."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from flows.__main__ import FLOWS

PATIENCE_SECONDS = 240.0


def eventually(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.5)
    pytest.fail("it did not come to pass")


def post(url: str, body: object) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_up_serves_all_flows_until_ctrl_c(shared_cli: Any, small: list[str]) -> None:
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
    try:
        deployments = eventually(
            lambda: len(found := post(f"{api}/deployments/filter", {})) == len(FLOWS) and found
        )
        assert answers(servers["MLflow"])
        run = next(each for each in deployments if each["name"] == "run")
        assert run["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
        scheduled = {"flow_runs": {"deployment_id": {"any_": [run["id"]]}}}
        runs = eventually(lambda: post(f"{api}/flow_runs/filter", scheduled))
        assert runs[0]["state_name"] == "Scheduled", "by the server's own scheduler"
        form = run["parameter_openapi_schema"]["definitions"]["TrainingConfig"]
        assert form["properties"]["steps"]["description"].startswith("Optimizer updates")
        config = run["parameters"]["config"]
        assert config["training"]["steps"] == 12
        with pytest.raises(urllib.error.HTTPError, match="409"):
            post(
                f"{api}/deployments/{run['id']}/create_flow_run",
                {"parameters": {"config": {**config, "trainning": {}}}},
            )
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, rest
    assert not answers(f"{api}/health")
    assert not answers(servers["MLflow"])
    assert not (shared_cli.home / ".prefect" / "server.json").exists()
