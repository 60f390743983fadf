"""The local servers: a Prefect server that a run finds or starts, an MLflow server for the UI.

Nothing here imports Prefect or MLflow, because both read their settings when they are imported.
"""

import base64
import json
import os
import time
import urllib.request
from dataclasses import asdict, dataclass
from http.client import HTTPException

from filelock import FileLock

from gpt_core.errors import DataError
from gpt_core.files import write_json
from tasks.credentials import create_password, make_private, read_password
from tasks.environment import (
    bypass_proxies,
    configure_environment,
    mlflow_environment,
    prefect_environment,
    served_artifacts,
    served_store,
)
from tasks.paths import checkout, prefect_dir, tracking_dir
from tasks.processes import HOST, end, is_running, reserve_port, start_detached, stop_detached

LOGIN_PATH = "/enter"
"""The page of the Prefect server that stores the password in a browser."""

PREFECT_PORT = 4200
"""Where Prefect's server listens, unless that port is taken."""

_MLFLOW_PORT = 5000
_STARTUP_SECONDS, _FOREIGN_SECONDS = 90.0, 5.0
PREFECT, MLFLOW = "prefect", "mlflow"
"""The kinds of servers."""

_RECORDS = {PREFECT: "server.json", MLFLOW: "mlflow-server.json"}


@dataclass(frozen=True, slots=True)
class Server:
    """A server process of this home, which may outlive the process that started it."""

    kind: str
    """``PREFECT`` or ``MLFLOW``."""

    url: str
    """The address of its API."""

    pid: int
    """The id of its process, which leads a process group of its own."""

    def is_alive(self) -> bool:
        """Whether the process runs and is this server, not another process with a reused pid."""
        return is_running(self.pid, self.kind)

    def answers(self) -> bool:
        """Whether the server answers, and is the one of this home."""
        if self.kind == PREFECT:  # another home's refuses this home's password
            return is_healthy(f"{self.url}/admin/version", read_password())
        return is_healthy(f"{self.url}/health")

    def wait(self) -> None:
        """Wait until the server answers; an answer counts only while its process runs.

        Raises:
            DataError: If it ends or does not answer in time.
        """
        until = time.monotonic() + _STARTUP_SECONDS
        while not (self.answers() and self.is_alive()):
            if not self.is_alive() or time.monotonic() > until:
                raise DataError(
                    f"the server at {self.url} did not start or hangs: see the logs in "
                    f"{prefect_dir()}; gptflow down stops it"
                )
            time.sleep(0.1)

    def record(self) -> None:
        """Remember the server, so that other processes find it."""
        write_json(prefect_dir() / _RECORDS[self.kind], asdict(self))

    def stop(self) -> None:
        """Stop the server and the processes that it started, by force if they do not end."""
        stop_detached(self.pid, self.kind)


class PrefectServer:
    """The Prefect server of this project: the user's own, a running one, or one that is started.

    ``start`` returns at once and ``wait`` returns when the server answers, so that the caller can
    do other work during the seconds between.
    """

    def __init__(self) -> None:
        self.url = os.environ.get("PREFECT_API_URL", "")
        self._own: Server | None = None

    def start(self) -> None:
        """Find a running server or start one; of several processes only one does."""
        configure_environment()
        if self.url:
            return
        make_private(prefect_dir())
        with FileLock(prefect_dir() / "server.lock"):
            if not read_password():
                stop_prefect_server()  # it was started with a password that is lost
            password = create_password()
            self._own = _recorded_server(PREFECT) or _start_prefect(password, PREFECT_PORT)
        self.url = self._own.url
        _use(self._own)

    def login_url(self) -> str:
        """The address that logs a browser in, which holds the password; empty if it needs none."""
        if self._own is None:
            return ""
        return f"{self.url.removesuffix('/api')}{LOGIN_PATH}#{read_password()}"

    def wait(self) -> str:
        """Wait until the server answers.

        Returns:
            Its API's address.

        Raises:
            DataError: If it does not answer in time.
        """
        if self._own is not None:
            self._own.wait()
            return self.url
        until = time.monotonic() + _FOREIGN_SECONDS
        while not is_healthy(f"{self.url}/health"):
            if time.monotonic() > until:
                raise DataError(
                    f"the Prefect server at {self.url} does not answer: start it, or unset "
                    "PREFECT_API_URL and a run starts one"
                )
            time.sleep(0.2)
        return self.url


def running_prefect_server() -> str:
    """The address of the server that would be used, empty if it does not answer."""
    url = os.environ.get("PREFECT_API_URL")
    if url:
        return url if is_healthy(f"{url}/health") else ""
    recorded = _recorded_server(PREFECT)
    return recorded.url if recorded and recorded.answers() else ""


def connect_to_prefect() -> str:
    """Let this process use the server that runs; its address, empty if none answers."""
    configure_environment()
    url = running_prefect_server()
    if url and "PREFECT_API_URL" not in os.environ:
        recorded = _recorded_server(PREFECT)
        if recorded is not None:
            _use(recorded)
    return url


def stop_prefect_server() -> bool:
    """Stop the server that a run started; False if there is none."""
    return _stop(PREFECT)


def stop_mlflow_server() -> bool:
    """Stop the MLflow server of this home; False if there is none."""
    return _stop(MLFLOW)


def _stop(kind: str) -> bool:
    recorded = _recorded_server(kind)
    (prefect_dir() / _RECORDS[kind]).unlink(missing_ok=True)
    if recorded is None:
        return False
    recorded.stop()
    return True


def recorded_servers() -> list[Server]:
    """The servers of this home that run."""
    return [server for kind in _RECORDS if (server := _recorded_server(kind)) is not None]


def restart(server: Server) -> Server:
    """Start a server again that ended, where it listened before, unless another process did.

    Raises:
        DataError: If its port is taken meanwhile.
    """
    port = int(server.url.removesuffix("/api").rpartition(":")[2])
    with FileLock(prefect_dir() / "server.lock"):
        found = _recorded_server(server.kind)
        if found is not None:
            return found
        end([server.kind])  # processes that it started still hold its port
        if server.kind == PREFECT:
            return _start_prefect(create_password(), port, only=True)
        return start_mlflow_server(port, only=True)


def _start_prefect(password: str, port: int, *, only: bool = False) -> Server:
    """Start a server and record it at once, so that other processes wait for the same one."""
    with reserve_port(port, only=only) as reservation:
        port = reservation.getsockname()[1]
        command = [
            "-m", "uvicorn", "--app-dir", str(checkout()), "--factory",
            "tasks.prefect_app:create_app", "--host", HOST, "--port", str(port),
            "--log-level", "warning",
        ]  # fmt: skip
        environment = prefect_environment(port, password)
        log = prefect_dir() / "server.log"
        pid = start_detached(PREFECT, command, log, reservation, environment)
    server = Server(PREFECT, f"http://{HOST}:{port}/api", pid)
    server.record()
    return server


def _recorded_server(kind: str) -> Server | None:
    """A server that was started before, if it still runs."""
    try:
        text = (prefect_dir() / _RECORDS[kind]).read_text(encoding="utf-8")
        record = json.loads(text)
        server = Server(kind, str(record["url"]), int(record["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if server.is_alive() else None


def start_mlflow_server(port: int = _MLFLOW_PORT, *, only: bool = False) -> Server:
    """Start an MLflow server on the embedded store, or on the user's database, for its UI.

    Args:
        port: Where it listens, unless that port is taken.
        only: It listens there or nowhere.

    Raises:
        DataError: If it can listen nowhere.
    """
    configure_environment()
    make_private(prefect_dir())
    tracking_dir().mkdir(parents=True, exist_ok=True)
    with reserve_port(port, only=only) as reservation:
        port = reservation.getsockname()[1]
        command = [
            "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        ]  # fmt: skip
        environment = {
            **mlflow_environment(port),
            "MLFLOW_BACKEND_STORE_URI": served_store(),  # a password is no argument
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": served_artifacts(),
        }
        log = prefect_dir() / "mlflow-server.log"
        pid = start_detached(MLFLOW, command, log, reservation, environment)
    server = Server(MLFLOW, f"http://{HOST}:{port}", pid)
    server.record()
    return server


def mlflow_ui_url() -> str:
    """The address of the embedded store's UI: of the server that runs, or of the next one."""
    recorded = _recorded_server(MLFLOW)
    return recorded.url if recorded else f"http://{HOST}:{_MLFLOW_PORT}"


def is_healthy(url: str, password: str = "") -> bool:  # nosec B107
    """Whether a server answers.

    Args:
        url: What it is asked.
        password: Its password; then it is a local server, which no proxy may come between.
    """
    request, handlers = urllib.request.Request(url), []
    if password:
        token = base64.b64encode(password.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        handlers = [urllib.request.ProxyHandler({})]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, HTTPException):  # of a socket that was connected to itself
        return False


def _use(server: Server) -> None:
    """Point Prefect's client in this process, and in those that it starts, at a server."""
    os.environ["PREFECT_API_URL"] = server.url
    os.environ["PREFECT_API_AUTH_STRING"] = read_password()
    bypass_proxies()
