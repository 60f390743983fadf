"""Environment variables of Prefect and MLflow, in this process and in the servers that it starts.

Nothing here imports them, because both read their settings when they are imported.
"""

import os

from dotenv import dotenv_values

from tasks.paths import (
    prefect_database,
    prefect_dir,
    server_settings_file,
    sqlite_address,
    tracked_artifacts,
    tracking_store,
)
from tasks.processes import HOST

_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the UI keeps the log
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # events that an absent server does not get
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds, the least; see tasks/automations.py
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_DATABASES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_DATABASE_DRIVER",
)
_LOCAL_NAMES = (HOST, "localhost", "[::1]")


def configure_environment() -> None:
    """Set the environment of Prefect and MLflow; variables that the user set are kept."""
    settings = {
        **_QUIET,
        "PREFECT_HOME": str(prefect_dir()),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(prefect_dir() / "results"),
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def local_addresses(port: int) -> list[str]:
    """The origins of pages that this machine's own server at a port serves."""
    return [f"http://{name}:{port}" for name in _LOCAL_NAMES]


def prefect_environment(port: int, password: str) -> dict[str, str]:
    """Variables of a Prefect server, whatever the user set for others.

    Args:
        port: Where it listens.
        password: What its clients must know.
    """
    variables = {
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(local_addresses(port)),
        "PREFECT__SERVER_FINAL": "1",  # as when Prefect itself starts one: it takes less memory
    }
    if not any(name in os.environ for name in _DATABASES):
        variables[_DATABASES[0]] = sqlite_address(prefect_database(), "sqlite+aiosqlite")
    return variables


def mlflow_environment(port: int) -> dict[str, str]:
    """Variables of an MLflow server; its guard is on, whatever the user set for others.

    Args:
        port: Where it listens.
    """
    origins = local_addresses(port)
    settings = {
        name: value or ""
        for name, value in dotenv_values(server_settings_file()).items()
        if name not in os.environ
    }
    return {
        **settings,
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(each.removeprefix("http://") for each in origins),
    }


def is_server(address: str) -> bool:
    """Whether MLflow's store is a server, not a database."""
    return address.lower().startswith(("http://", "https://"))


def served_store() -> str:
    """The database that an MLflow server of this home shows: the user's or the embedded one."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    return tracking_store() if not address or is_server(address) else address


def served_artifacts() -> str:
    """Where artifacts go that are recorded in a database: a folder, or a bucket such as S3's."""
    return os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or tracked_artifacts()


def database_addresses() -> dict[str, str]:
    """The addresses of databases that the user gave to the servers of this home, by variable."""
    names = _DATABASES[:2] if not os.environ.get("PREFECT_API_URL") else ()
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def bypass_proxies() -> None:
    """Keep requests to local servers, and with them their passwords, from a proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        listed = os.environ.get(name, "")
        if HOST not in listed.split(","):
            os.environ[name] = f"{listed},{HOST}".lstrip(",")
