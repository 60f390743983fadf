"""One ``gptflow up`` for each home; what a killed one left is found and ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.files import write_json
from tasks.processes import end, mark, running
from tasks.up import only_up, stop_everything

UP = """
import subprocess, sys, time
from tasks.up import only_up
with only_up():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def own_environment(home: Path) -> Iterator[None]:
    """The environment of this process, which ``only_up`` marks."""
    before = dict(os.environ)
    yield
    end(["worker"])
    os.environ.clear()
    os.environ.update(before)


def start_up(root: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", UP], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "ready\n"
    return process


def started_worker() -> list[int]:
    """The worker's processes, once one carries its mark: it has none before it is executed."""
    until = time.monotonic() + 10.0
    while not (found := running(["worker"])) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def test_a_second_one_is_refused_and_down_ends_the_first(
    own_environment: None, project_root: Path
) -> None:
    process = start_up(project_root)
    (child,) = started_worker()
    refusal = r"runs already in .*: use it, or stop it with gptflow down"
    with pytest.raises(DataError, match=refusal), only_up():
        pass
    assert running(["worker"]) == [child]
    assert stop_everything()
    assert process.wait(timeout=10) == -signal.SIGTERM
    assert running(["worker"]) == []
    assert not stop_everything()


@pytest.mark.parametrize("by", ["up", "down"])
def test_what_a_killed_one_left_is_ended(
    own_environment: None, project_root: Path, by: str
) -> None:
    process = start_up(project_root)
    process.kill()
    process.wait()
    assert len(started_worker()) == 1
    if by == "down":
        assert stop_everything()
        assert running(["worker"]) == []
        return
    with only_up():
        assert running(["worker"]) == []


def test_a_neighbour_and_a_process_with_the_recorded_number_stay(
    own_environment: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [
        subprocess.Popen(["sleep", "60"]),
        subprocess.Popen(["sleep", "60"], env={**os.environ, **mark("worker")}),
    ]
    monkeypatch.setenv("GPTFLOW_HOME", str(home / "neighbour"))
    for name in ("up.json", "server.json", "mlflow-server.json"):
        for other in others:
            record = {"pid": other.pid, "started": "1", "url": "http://127.0.0.1:1"}
            write_json(home / "neighbour" / ".prefect" / name, record)
            assert not stop_everything()
    assert [other.poll() for other in others] == [None, None]
    for other in others:
        other.kill()
        other.wait()


def test_a_home_without_servers_is_left_as_it_is(home: Path) -> None:
    assert not stop_everything()
    assert list(home.iterdir()) == []
