"""The local servers: a Prefect server that a run finds or starts, an MLflow server for the UI.

Nothing here imports Prefect or MLflow: their settings must stand before they are read.
"""

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
from tasks.paths import prefect_dir, tracking_dir

_HOST = "127.0.0.1"
_PREFECT_PORT, _MLFLOW_PORT = 4200, 5000
_STARTUP_SECONDS = 90.0
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
        self._record = prefect_dir() / "server.json"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = os.environ.get("PREFECT_API_URL", "")

    def start(self) -> None:
        """Find a running server or begin to start one."""
        configure_environment()
        if self.url:
            return
        recorded = _read_record(self._record).get("url", "")
        if recorded and is_healthy(f"{recorded}/health"):
            self.url = recorded
        else:
            port = free_port(_PREFECT_PORT)
            self.url = f"http://{_HOST}:{port}/api"
            command = ["-m", "prefect", "server", "start", "--host", _HOST, "--port", str(port)]
            self._process = start_detached(command, prefect_dir() / "server.log")
        os.environ["PREFECT_API_URL"] = self.url

    def wait(self) -> str:
        """Wait until the server answers.

        Returns:
            Its API's address.

        Raises:
            DataError: If it does not, naming its log.
        """
        until = time.monotonic() + (_STARTUP_SECONDS if self._process else 5.0)
        while not is_healthy(f"{self.url}/health"):
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > until:
                raise DataError(
                    f"the Prefect server at {self.url} does not answer: see "
                    f"{prefect_dir() / 'server.log'}, or unset PREFECT_API_URL to start another"
                )
            time.sleep(0.2)
        if self._process is not None:
            write_json(self._record, {"url": self.url, "pid": self._process.pid})
        return self.url


def running_prefect_server() -> str:
    """The address of the server that would be used, empty if it does not answer."""
    recorded = _read_record(prefect_dir() / "server.json").get("url", "")
    url = os.environ.get("PREFECT_API_URL") or recorded
    return url if url and is_healthy(f"{url}/health") else ""


def stop_prefect_server() -> bool:
    """Stop the server that a run started; False if there is none."""
    record = prefect_dir() / "server.json"
    content = _read_record(record)
    record.unlink(missing_ok=True)
    if not content or not is_healthy(f"{content['url']}/health"):
        return False
    os.killpg(int(content["pid"]), signal.SIGTERM)
    return True


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
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    process = start_detached(command, prefect_dir() / "mlflow-server.log")
    return process, f"http://{_HOST}:{port}"


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
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DataError("no port of this machine is free")


def _read_record(path: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content
