"""Processes are known by the mark of their home, ports by a reservation that ends with them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_server import free_port

from tasks import processes
from tasks.processes import end, is_running, mark, reserve_port, running, start_detached

SLEEP = ["-c", "import time; time.sleep(60)"]


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Two homes, of which the first is this process's; their processes are ended."""
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / "one"))
    yield [tmp_path / "one", tmp_path / "other"]
    for name in ("one", "other"):
        monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / name))
        end(["server", "worker"])


def start(home: Path, kind: str) -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        return start_detached(kind, SLEEP, home / "log", held, {})


def test_a_process_is_known_by_its_kind_and_its_home(
    homes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start(homes[0], "server")
    assert is_running(pid, "server")
    assert not is_running(pid, "worker")
    assert running(["server", "worker"]) == [pid]
    monkeypatch.setenv("GPTFLOW_HOME", str(homes[1]))
    assert not is_running(pid, "server")
    assert running(["server"]) == []
    assert end(["server"]) == 0
    monkeypatch.setenv("GPTFLOW_HOME", str(homes[0]))
    assert is_running(pid, "server")
    assert end(["server"]) == 1
    assert not is_running(pid, "server")


def test_a_home_whose_name_ends_like_anothers_is_another(
    homes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start(homes[0], f"server:{tmp_path}")  # such as it may look in a longer path
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / "x"))
    assert not is_running(pid, "server")
    monkeypatch.setenv("GPTFLOW_HOME", str(homes[0]))
    end([f"server:{tmp_path}"])


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(
    homes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_STOPPING_SECONDS", 0.5)
    script = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print('ready', flush=True); signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, **mark("worker")},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert end(["worker"]) == 2
    assert process.wait(timeout=10) == -9
    process.stdout.close()
    assert running(["worker"]) == []


def test_an_ended_process_and_another_users_are_not_running(homes: list[Path]) -> None:
    ended = subprocess.Popen(["true"], env=mark("server"))
    ended.wait()
    assert not is_running(ended.pid, "server")
    assert not is_running(1, "server")


def test_a_reserved_port_is_given_to_nobody_else_until_its_holders_end() -> None:
    port = free_port()
    with reserve_port(port) as first, reserve_port(port) as second:
        assert first.getsockname()[1] == port
        assert second.getsockname()[1] != port
        holder = subprocess.Popen(["sleep", "60"], pass_fds=[first.fileno()])
    with reserve_port(port) as third:
        assert third.getsockname()[1] != port
    holder.kill()
    holder.wait()
    with reserve_port(port) as fourth:
        assert fourth.getsockname()[1] == port


def test_a_port_that_a_server_listens_on_is_not_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with reserve_port(port) as reservation:
            assert reservation.getsockname()[1] != port
