"""Processes that begin at once and may be killed: forked from one that has imported the core."""

import contextlib
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from http_server import serve_http

if TYPE_CHECKING:
    from stages import Inputs

sys.path.insert(0, str(Path(__file__).parent))  # for disk_model and stages


@dataclass
class Child:
    """A forked process."""

    pid: int
    output: Path
    _server: "subprocess.Popen[str]"
    waited: bool = False

    def send(self, number: int) -> None:
        """Send a signal; one that has ended meanwhile does not receive it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end; the exit code, negative after a signal."""
        assert self._server.stdout is not None
        status = int(self._server.stdout.readline())
        self.waited = True
        return status

    def text(self) -> str:
        """Read its output."""
        return self.output.read_text(encoding="utf-8", errors="replace")


class ForkServer:
    """Forks processes, one at a time.

    Args:
        folder: Where their outputs go, and the home ``home`` is.
        root: The checkout.
        preloaded: What they have imported, as code; the core if there is none.
    """

    def __init__(self, folder: Path, root: Path, *preloaded: str) -> None:
        self._folder, self._count = folder, 0
        self._newest: Child | None = None
        script = root / "tests" / "faults" / "fork_server.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script), *preloaded], text=True, cwd=root,
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
        if self._newest is not None and not self._newest.waited:  # a test failed meanwhile
            self._newest.send(signal.SIGKILL)
            self._newest.wait()
        self._count += 1
        output = self._folder / f"output-{self._count}.txt"
        request = {"code": code, "output": str(output), "limit": limit}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        self._newest = Child(int(self._process.stdout.readline()), output, self._process)
        return self._newest

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


@pytest.fixture(scope="session")
def stage_inputs(
    forks: ForkServer, tmp_path_factory: pytest.TempPathFactory, project_root: Path
) -> Iterator["Inputs"]:
    """The inputs of all stages, made by the stages; a server has the file to download."""
    from stages import STAGES, Inputs, write_sources

    folder = tmp_path_factory.mktemp("stages")
    write_sources(project_root / "data" / "samples", folder)
    inputs = Inputs(folder)
    for stage in STAGES:
        if stage != "download":
            code, text = forks.run(inputs.code(stage, folder / stage))
            assert code == 0, f"{stage}: {text}"
    content = (folder / "text.txt").read_bytes() * 50
    (folder / "served").write_bytes(content)
    handler = partial(QuietHandler, directory=str(folder))
    with serve_http(handler) as port:
        request = {
            "url": f"http://127.0.0.1:{port}/served",
            "sha256": hashlib.sha256(content).hexdigest(), "size": len(content),
        }  # fmt: skip
        (folder / "download.json").write_text(json.dumps(request), "utf-8")
        yield inputs


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Gives a file system of so many bytes, and another size to the same one."""
    folder, mounted = tmp_path / "disk", False
    folder.mkdir()

    def resize(size: int) -> Path:
        nonlocal mounted
        options = f"{'remount,' if mounted else ''}size={size}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip("this user cannot mount a small file system")
        mounted = True
        return folder

    yield resize
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; a client that is killed is no error."""

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file."""
        with contextlib.suppress(OSError):
            super().copyfile(source, outputfile)
