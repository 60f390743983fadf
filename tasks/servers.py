"""The local servers: a Prefect server that a run finds or starts, an MLflow server for the UI.

Nothing here imports Prefect or MLflow: their settings must stand before they are read.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.files import write_json
from tasks.paths import prefect_dir, server_settings_file, tracking_dir

_HOST = "127.0.0.1"
_PREFECT_PORT, _MLFLOW_PORT = 4200, 5000
_STARTUP_SECONDS, _FOREIGN_SECONDS = 90.0, 5.0
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
    """Settle the engines' settings before either is imported; what the user set stays."""
    settings = {
        **_QUIET,
        "PREFECT_HOME": str(prefect_dir()),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(prefect_dir() / "results"),
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


class PrefectServer:
    """The Prefect server of this project: the user's own, a running one, or one that is started.

    Starting takes some seconds, so it is begun by ``start`` and awaited by ``wait``.
    """

    def __init__(self) -> None:
        self.url = os.environ.get("PREFECT_API_URL", "")
        self._pid: int | None = None

    def start(self) -> None:
        """Find a running server or begin to start one; of several processes only one does."""
        configure_environment()
        if self.url:
            return
        prefect_dir().mkdir(parents=True, exist_ok=True)
        with (prefect_dir() / "server.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            recorded = _recorded_server(_RECORD)
            self.url, self._pid = recorded or _start_prefect()
        os.environ["PREFECT_API_URL"] = self.url

    def wait(self) -> str:
        """Wait until the server answers.

        Returns:
            Its API's address.

        Raises:
            DataError: If it does not, naming its log.
        """
        until = time.monotonic() + (_STARTUP_SECONDS if self._pid else _FOREIGN_SECONDS)
        while not is_healthy(f"{self.url}/health"):
            ended = self._pid is not None and not _is_server(self._pid)
            if ended or time.monotonic() > until:
                raise DataError(
                    f"the Prefect server at {self.url} does not answer: see "
                    f"{prefect_dir() / 'server.log'}, or unset PREFECT_API_URL to start another"
                )
            time.sleep(0.2)
        return self.url


def running_prefect_server() -> str:
    """The address of the server that would be used, empty if it does not answer."""
    recorded = _recorded_server(_RECORD)
    url = os.environ.get("PREFECT_API_URL") or (recorded[0] if recorded else "")
    return url if url and is_healthy(f"{url}/health") else ""


def stop_prefect_server() -> bool:
    """Stop the server that a run started; False if there is none."""
    recorded = _recorded_server(_RECORD)
    (prefect_dir() / _RECORD).unlink(missing_ok=True)
    if recorded is None:
        return False
    os.killpg(recorded[1], signal.SIGTERM)
    return True


def _start_prefect() -> tuple[str, int]:
    """Begin to start a server and record it, so that whoever comes next waits for it."""
    port = free_port(_PREFECT_PORT)
    url = f"http://{_HOST}:{port}/api"
    command = ["-m", "prefect", "server", "start", "--host", _HOST, "--port", str(port)]
    process = start_detached(command, prefect_dir() / "server.log")
    write_json(prefect_dir() / _RECORD, {"url": url, "pid": process.pid})
    return url, process.pid


def _recorded_server(name: str) -> tuple[str, int] | None:
    """Address and process of a server that was started before, if it still runs."""
    try:
        record = json.loads((prefect_dir() / name).read_text(encoding="utf-8"))
        url, pid = str(record["url"]), int(record["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (url, pid) if _is_server(pid) else None


def _is_server(pid: int) -> bool:
    """Whether a process lives and is a server of ours, and not another that got its number."""
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)  # one of ours that has ended would linger
    try:
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it lives, and this system does not say what it is
    return b"prefect" in command or b"mlflow" in command


def start_mlflow_server(port: int | None = None) -> tuple[subprocess.Popen[bytes], str]:
    """Start an MLflow server on the embedded store, for its UI.

    Returns:
        The process and the address.
    """
    configure_environment()
    port = free_port(port or _MLFLOW_PORT)
    store = tracking_dir()
    store.mkdir(parents=True, exist_ok=True)
    command = [
        "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}",
        "--default-artifact-root", str(store / "artifacts"),
    ]  # fmt: skip
    for name, value in _settings(server_settings_file()):
        os.environ.setdefault(name, value)
    process = start_detached(command, prefect_dir() / "mlflow-server.log")
    url = f"http://{_HOST}:{port}"
    write_json(prefect_dir() / _MLFLOW_RECORD, {"url": url, "pid": process.pid})
    return process, url


def mlflow_ui_url() -> str:
    """Where the embedded store is shown: the server that runs, or the one that will."""
    recorded = _recorded_server(_MLFLOW_RECORD)
    return recorded[0] if recorded else f"http://{_HOST}:{_MLFLOW_PORT}"


def _settings(file: Path) -> list[tuple[str, str]]:
    """The settings in a file of ``NAME=value`` lines."""
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return [(name, value) for name, _, value in pairs]


def wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server that was started answers.

    Raises:
        DataError: If it ends or does not answer in time.
    """
    until = time.monotonic() + _STARTUP_SECONDS
    while not is_healthy(url):
        if process.poll() is not None or time.monotonic() > until:
            raise DataError(f"the server at {url} did not start: see the logs in {prefect_dir()}")
        time.sleep(0.2)


def start_detached(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a Python module in its own session, so that Ctrl-C here does not end it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=log.parent,
        )


def is_healthy(url: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def free_port(wanted: int) -> int:
    """The wanted port, or any free one if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # else a port rests a minute
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DataError("no port of this machine is free")
