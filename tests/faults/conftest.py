"""Processes that begin at once and may be killed: forked from one that has imported the core."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Child:
    """A forked process."""

    pid: int
    output: Path
    _server: "subprocess.Popen[str]"

    def send(self, number: int) -> None:
        """Send a signal; one that has ended meanwhile does not receive it."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end; the exit code, negative after a signal."""
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

    def text(self) -> str:
        """Read its output."""
        return self.output.read_text(encoding="utf-8", errors="replace")


class ForkServer:
    """Forks processes, one at a time.

    Args:
        folder: Where their outputs go.
        root: The checkout.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._count = folder, 0
        script = root / "tests" / "faults" / "fork_server.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script)], text=True, cwd=root,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={
                **os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1",
                "GPTFLOW_HOME": str(folder / "home"),
            },
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def start(self, code: str, limit: int | None = None) -> Child:
        """Run Python code, with a limit in bytes to what a file may hold."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count += 1
        output = self._folder / f"output-{self._count}.txt"
        request = {"code": code, "output": str(output), "limit": limit}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Child(int(self._process.stdout.readline()), output, self._process)

    def run(self, code: str, limit: int | None = None) -> tuple[int, str]:
        """Run Python code to its end; the exit code and what it printed."""
        child = self.start(code, limit)
        return child.wait(), child.text()

    def stop(self) -> None:
        """End the server."""
        self._process.communicate()  # closes the input, which ends it


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[ForkServer]:
    """A server of forked processes."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    server = ForkServer(tmp_path_factory.mktemp("forks"), project_root)
    yield server
    server.stop()
