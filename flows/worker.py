"""``gptflow worker POOL``: Prefect's own worker, with this home's server, data and settings."""

import os
import sys
from importlib.util import find_spec

import typer
from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException

from flows.missed import cancel_missed
from gpt_core.errors import ConfigError, DataError
from tasks.paths import project_root
from tasks.processes import mark
from tasks.up import POOL_WORKER

_EXTRAS = {"docker": "prefect_docker", "kubernetes": "prefect_kubernetes"}


def run_worker(pool: str) -> None:
    """Become the worker of a work pool.

    Raises:
        ConfigError: If the server has no such pool, or its type needs a package that is missing.
        DataError: If the server does not answer.
    """
    try:
        with get_client(sync_client=True) as client:
            type_ = client.read_work_pool(pool).type
            require_package(type_)
            cancel_missed(client)
            server = str(client.api_url).rstrip("/").removesuffix("/api")
    except ObjectNotFound as error:
        raise ConfigError(
            f"there is no work pool {pool!r}: gptflow deploy makes those of deployments.toml"
        ) from error
    except (HTTPError, PrefectException) as error:
        raise DataError(f"the Prefect server did not answer: {error}") from error
    typer.echo(f"Worker of the {type_} pool {pool} of {server}. Ctrl-C stops it.")
    sys.stdout.flush()
    os.environ.update(mark(POOL_WORKER))
    os.environ["GPTFLOW_HOME"] = str(project_root())
    command = ["-m", "prefect", "worker", "start", "--pool", pool, "--type", type_]
    os.execv(sys.executable, [sys.executable, *command, "--install-policy", "never"])  # nosec B606


def require_package(type_: str) -> None:
    """Require the package of a pool's type.

    Raises:
        ConfigError: Saying how it is installed.
    """
    package = _EXTRAS.get(type_)
    if package is not None and find_spec(package) is None:
        raise ConfigError(
            f"a worker of type {type_} needs {package.replace('_', '-')}: install it with "
            f".venv/bin/python .ci/install.py {type_}"
        )
