"""Check the addresses of Prefect and MLflow, and MLflow's file, before anything is started.

Neither is imported: together that takes seconds, and a mistake is to be said at once.
"""

import base64
import importlib.metadata
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from gpt_core.errors import ConfigError, DataError, GPTCoreError
from tasks.addresses import hide_server_passwords
from tasks.database_check import check_database
from tasks.database_servers import check_database_server, check_given_databases
from tasks.environment import database_addresses
from tasks.paths import tracking_database

_WAIT_SECONDS, _PAUSE_SECONDS, _TIMEOUT_SECONDS = 5.0, 0.5, 5.0
_REFUSED = (401, 403)
_EXAMPLES = {
    "PREFECT_API_URL": "http://127.0.0.1:4200/api",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
}
_DATABASES = ("postgresql", "mysql", "mssql")
_SCHEMES = ("databricks", "databricks-uc", "uc", "arn", "azureml")
_OWN_AUTH = (
    "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)  # fmt: skip
"""Ways to authorize a request that only MLflow knows."""


def check_servers() -> None:
    """Check that the user's own servers answer, and that the file of MLflow can be used.

    Raises:
        ConfigError: If an address is none, or is that of something else, or a password is wrong.
        DataError: If a server does not answer, or the file is damaged, locked or of another MLflow.
    """
    hide_server_passwords()
    prefect = os.environ.get("PREFECT_API_URL")
    if prefect:
        _check_prefect(prefect)
    check_given_databases(database_addresses())
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    if tracking:
        check_tracking(tracking)
    else:
        check_database(tracking_database())


def check_tracking(uri: str) -> None:
    """Check MLflow's store.

    Args:
        uri: Its address: of a server, a file or a database.

    Raises:
        ConfigError: If it is none, or a password is wrong.
        DataError: If it does not answer, or the file cannot be used.
    """
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme in ("http", "https"):
        _require_address("MLFLOW_TRACKING_URI", uri)
        _check_mlflow(uri.rstrip("/"))
    elif scheme == "sqlite":
        place = uri.partition("://")[2].partition("?")[0]
        check_database(Path(place.removeprefix("/")))
    elif scheme in _DATABASES:
        check_database_server("MLFLOW_TRACKING_URI", uri)
    elif scheme not in (*_SCHEMES, *_plugins()):
        raise ConfigError(
            "MLFLOW_TRACKING_URI must begin with http://, https://, sqlite:/// or another "
            f"database's scheme, got {_shown(uri)}"
        )


@dataclass(frozen=True, slots=True)
class _Site:
    """A server that is asked: what it is, and the variables that name it and its password."""

    name: str
    address: str
    variable: str
    password: str

    @property
    def at(self) -> str:
        return f"the {self.name.partition(',')[0]} server at {self.address}"

    def ask(self, path: str, authorization: str) -> object:
        """The JSON that it answers; waits a little for one that is being started.

        Raises:
            ConfigError: If it refuses, or is not such a server.
            DataError: If it does not answer, or says that it is broken.
        """
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                return self._ask_once(path, authorization)
            except DataError:
                if time.monotonic() > until:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def _ask_once(self, path: str, authorization: str) -> object:
        request = urllib.request.Request(self.address + path)
        if authorization:  # not sent to where the server redirects
            request.add_unredirected_header("Authorization", authorization)
        with self._errors(), urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # nosec B310
            return json.loads(answer.read())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate everything that can go wrong with a request into one sentence."""
        try:
            yield
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refusal(error.code) from error
        except ValueError as error:
            raise self._another("something else than JSON") from error
        except (OSError, HTTPException) as error:
            raise DataError(
                f"{self.at} does not answer ({getattr(error, 'reason', error)}): start it and "
                "give the same command again, which resumes from here, or unset "
                f"{self.variable}"
            ) from error

    def _refusal(self, status: int) -> GPTCoreError:
        if status in _REFUSED:
            return ConfigError(f"{self.at} refuses the request ({status}): set {self.password}")
        if status >= 500:
            return DataError(
                f"{self.at} answers {status}: its log says why; start it again, or unset "
                f"{self.variable}"
            )
        return self._another(str(status))

    def _another(self, answer: str) -> ConfigError:
        return ConfigError(
            f"{self.variable} must be the address of {self.name}, but {self.address} answers "
            f"{answer}"
        )


def _check_prefect(address: str) -> None:
    _require_address("PREFECT_API_URL", address)
    password = os.environ.get("PREFECT_API_AUTH_STRING", "")
    address = address.rstrip("/")
    name = "Prefect" if address.endswith("/api") else "Prefect, which ends with /api"
    site = _Site(name, address, "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
    if os.environ.get("PREFECT_API_KEY"):
        return  # Prefect Cloud
    basic = f"Basic {base64.b64encode(password.encode()).decode()}" if password else ""
    if not isinstance(site.ask("/admin/version", basic), str):
        raise ConfigError(f"PREFECT_API_URL must be the address of {site.name}, got {address}")


def _check_mlflow(address: str) -> None:
    site = _Site(
        "MLflow",
        address,
        "MLFLOW_TRACKING_URI",
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    )
    if any(os.environ.get(name) for name in _OWN_AUTH):
        return
    authorization = _mlflow_authorization(os.environ)
    try:
        found = site.ask("/api/2.0/mlflow/experiments/search?max_results=1", authorization)
    except ConfigError as error:
        if not authorization and _has_other_passwords() and "refuses" in str(error):
            return
        raise
    except DataError as error:
        cause = getattr(error.__cause__, "reason", None)
        if isinstance(cause, ssl.SSLError):
            return  # MLflow has certificates of its own
        raise
    if not isinstance(found, dict):
        raise ConfigError(f"MLFLOW_TRACKING_URI must be the address of MLflow, got {address}")


def _mlflow_authorization(environment: Mapping[str, str]) -> str:
    """The header by which MLflow would authorize a request."""
    user = environment.get("MLFLOW_TRACKING_USERNAME")
    password = environment.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    token = environment.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else ""


def _has_other_passwords() -> bool:
    """Whether there are files of passwords that MLflow reads by itself."""
    return any((Path.home() / name).exists() for name in (".mlflow/credentials", ".netrc"))


def _plugins() -> set[str]:
    """The schemes of stores that other packages add to MLflow."""
    found = importlib.metadata.entry_points(group="mlflow.tracking_store")
    return {each.name for each in found}


def _require_address(variable: str, address: str) -> None:
    """Check that an address has a host, and a port that is a number if it has one.

    Raises:
        ConfigError: If not.
    """
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            f"{variable} must be an address such as {_EXAMPLES[variable]}, got {_shown(address)}"
        )


def _shown(address: str) -> str:
    """An address without what may be a password, also if it has no scheme."""
    return repr(address if ":/" in address else address.rpartition("@")[2])
