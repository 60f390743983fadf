"""The local servers: a Prefect server that a run finds or starts, an MLflow server for the UI.

Nothing here imports Prefect or MLflow, because both read their settings when they are imported.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from dotenv import dotenv_values
from filelock import FileLock

from gpt_core.errors import DataError
from gpt_core.files import write_json
from tasks.paths import prefect_dir, server_settings_file, tracking_dir

_HOST = "127.0.0.1"
_PREFECT_PORT, _MLFLOW_PORT = 4200, 5000
_PORT_TRIES = 100
_STARTUP_SECONDS, _FOREIGN_SECONDS, _STOPPING_SECONDS = 90.0, 5.0, 5.0
_RECORD, _MLFLOW_RECORD = "server.json", "mlflow-server.json"
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the UI keeps the log
    "PREFECT_CLI_PROMPT": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def configure_environment() -> None:
    """Set the environment of Prefect and MLflow; variables that the user set are kept."""
    settings = {
        **_QUIET,
        "PREFECT_HOME": str(prefect_dir()),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(prefect_dir() / "results"),
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@dataclass(frozen=True, slots=True)
class Server:
    """A server process of this project, which may outlive the process that started it."""

    url: str
    """The address of its API."""

    pid: int
    """The id of its process, which leads a process group of its own."""

    def is_alive(self) -> bool:
        """Whether the process runs and is a server, not another process with a reused pid."""
        with contextlib.suppress(ChildProcessError, OSError):
            os.waitpid(self.pid, os.WNOHANG)  # reap it if it is an ended child of this process
        try:
            os.kill(self.pid, 0)
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except ProcessLookupError:
            return False
        except OSError:
            return True  # it runs, and this system has no /proc
        return b"prefect" in command or b"mlflow" in command

    def wait(self) -> None:
        """Wait until the server answers; an answer counts only while its process runs.

        Raises:
            DataError: If it ends or does not answer in time.
        """
        until = time.monotonic() + _STARTUP_SECONDS
        while not (is_healthy(f"{self.url}/health") and self.is_alive()):
            if not self.is_alive() or time.monotonic() > until:
                raise DataError(
                    f"the server at {self.url} did not start: see the logs in {prefect_dir()}"
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server and the processes that it started, by force if they do not end."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, sent)
            until = time.monotonic() + _STOPPING_SECONDS
            while self.is_alive() and time.monotonic() < until:
                time.sleep(0.05)


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
        prefect_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(prefect_dir() / "server.lock"):
            self._own = _recorded_server(_RECORD) or _start_prefect()
        self.url = self._own.url
        os.environ["PREFECT_API_URL"] = self.url

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
    recorded = _recorded_server(_RECORD)
    url = os.environ.get("PREFECT_API_URL") or (recorded.url if recorded else "")
    return url if url and is_healthy(f"{url}/health") else ""


def stop_prefect_server() -> bool:
    """Stop the server that a run started; False if there is none."""
    recorded = _recorded_server(_RECORD)
    (prefect_dir() / _RECORD).unlink(missing_ok=True)
    if recorded is None:
        return False
    recorded.stop()
    return True


def _start_prefect() -> Server:
    """Start a server and record it at once, so that other processes wait for the same one."""
    with reserve_port(_PREFECT_PORT) as reservation:
        port = reservation.getsockname()[1]
        command = ["-m", "prefect", "server", "start", "--host", _HOST, "--port", str(port)]
        process = start_detached(command, prefect_dir() / "server.log", reservation)
    server = Server(f"http://{_HOST}:{port}/api", process.pid)
    write_json(prefect_dir() / _RECORD, asdict(server))
    return server


def _recorded_server(name: str) -> Server | None:
    """A server that was started before, if it still runs."""
    try:
        record = json.loads((prefect_dir() / name).read_text(encoding="utf-8"))
        server = Server(str(record["url"]), int(record["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if server.is_alive() else None


def start_mlflow_server(port: int = _MLFLOW_PORT) -> Server:
    """Start an MLflow server on the embedded store, for its UI.

    Args:
        port: Where it listens, unless that port is taken.
    """
    configure_environment()
    store = tracking_dir()
    store.mkdir(parents=True, exist_ok=True)
    for name, value in dotenv_values(server_settings_file()).items():
        os.environ.setdefault(name, value or "")
    with reserve_port(port) as reservation:
        port = reservation.getsockname()[1]
        command = [
            "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}",
            "--default-artifact-root", str(store / "artifacts"),
        ]  # fmt: skip
        process = start_detached(command, prefect_dir() / "mlflow-server.log", reservation)
    server = Server(f"http://{_HOST}:{port}", process.pid)
    write_json(prefect_dir() / _MLFLOW_RECORD, asdict(server))
    return server


def mlflow_ui_url() -> str:
    """The address of the embedded store's UI: of the server that runs, or of the next one."""
    recorded = _recorded_server(_MLFLOW_RECORD)
    return recorded.url if recorded else f"http://{_HOST}:{_MLFLOW_PORT}"


def start_detached(
    command: list[str], log: Path, reservation: socket.socket
) -> "subprocess.Popen[bytes]":
    """Start a Python module in a session of its own, so that Ctrl-C here does not end it.

    Args:
        command: The arguments of the interpreter.
        log: Its output is appended to this file.
        reservation: Its port's reservation, which it holds as long as it runs.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=log.parent,
            pass_fds=[reservation.fileno()],
        )


def is_healthy(url: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def reserve_port(wanted: int) -> socket.socket:
    """Reserve the wanted TCP port, or any free one if it is taken.

    A server binds its port seconds after it was started, too late to keep others from choosing
    the same one. So the port is reserved by the UDP port of the same number, which these servers
    do not use: binding it is atomic, and it is free again when the last process that holds the
    socket ends, however it ends.

    Returns:
        The UDP socket, bound to the port.

    Raises:
        DataError: If no port is free.
    """
    for port in (wanted, *[0] * _PORT_TRIES):
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind((_HOST, port))
            if _can_listen(reservation.getsockname()[1]):
                return reservation
        except OSError:
            pass  # reserved by another process
        reservation.close()
    raise DataError("no port of this machine is free")


def _can_listen(port: int) -> bool:
    """Whether no server listens on a TCP port."""
    with socket.socket() as probe:
        # Else a port is taken for a minute after its server's end.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True
