"""Real servers that note every request, and the command in a home that is searched afterwards."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType

import pytest
from canary import CANARY, basic
from http_server import free_port, serve_http
from several import SEVERAL
from waiting import answers


@dataclass(frozen=True)
class Answer:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


@dataclass
class Site:
    """A web server: what it was asked, and how it answers."""

    secret: str = ""
    """The password of its user ``me``; without it the site answers 401."""

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 404
    """The answer to a path that it does not have."""

    behind: str = ""
    """The server that it passes every request to."""

    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def with_password(self) -> str:
        return f"http://me:{self.secret}@127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        site.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        if site.secret and self.headers["Authorization"] != basic(site.secret):
            self._send(401, b"who are you?", {"WWW-Authenticate": "Basic"})
        elif site.behind:
            self._send(*self._forward(body))
        else:
            content = site.files.get(self.path.partition("?")[0])
            found = content is not None
            self._send(200 if found else site.status, content or b"{}", site.headers)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _forward(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection(self.site.behind, timeout=60)
        hidden = ("authorization", "host", "accept-encoding")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in hidden}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, {"Content-Type": answer.headers.get("Content-Type", "")}

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve a site at a port of its own."""
    with serve_http(type("Handler", (_Handler,), {"site": site})) as site.port:
        yield site


@contextmanager
def started(module: Sequence[str], folder: Path, health: str, **settings: str) -> Iterator[None]:
    """Run a Python module as a server until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], cwd=folder, env={**own, **settings},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + 120
    try:
        while not answers(health):
            assert process.poll() is None, (folder / "log").read_text("utf-8")
            assert time.monotonic() < until, (folder / "log").read_text("utf-8")
            time.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(timeout=30)


@dataclass(frozen=True)
class Gptflow:
    """The command in a home of its own."""

    home: Path
    root: Path

    def run(self, commands: Sequence[Sequence[str]], **settings: str) -> list[Answer]:
        """Run commands one after the other in one process, whose arguments they are not."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        done = subprocess.run(
            [sys.executable, "-c", SEVERAL],
            cwd=self.root,
            env={**own, "GPTFLOW_HOME": str(self.home), "COLUMNS": "200", **settings},
            input=json.dumps([({}, words) for words in commands]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert CANARY not in done.stderr
        return [Answer(*each) for each in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def gptflow(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Gptflow:
    """The command in an empty home."""
    return Gptflow(tmp_path_factory.mktemp("canary") / "home", project_root)


@contextmanager
def prefect(folder: Path, secret: str) -> Iterator[str]:
    """A Prefect server with a password; yields its address, which has it too."""
    port = free_port()
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    settings = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_API_AUTH_STRING": f"me:{secret}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    with started(command, folder, f"http://127.0.0.1:{port}/api/health", **settings):
        yield f"http://me:{secret}@127.0.0.1:{port}/api"


@contextmanager
def mlflow(folder: Path) -> Iterator[str]:
    """An MLflow server; yields its host and port."""
    port = free_port()
    command = [
        "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with started(command, folder, f"http://127.0.0.1:{port}/health", **settings):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def serve() -> ModuleType:
    """This module, which tests cannot import."""
    return sys.modules[__name__]
