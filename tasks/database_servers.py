"""Check databases on servers, such as PostgreSQL, before anything is started."""

import asyncio
import time
from urllib.parse import urlsplit

from gpt_core.errors import ConfigError, DataError, GPTCoreError
from gpt_core.redaction import redact

_WAIT_SECONDS, _PAUSE_SECONDS, _TIMEOUT_SECONDS = 5.0, 0.5, 5
_TIMEOUTS = {"psycopg2": "connect_timeout", "psycopg": "connect_timeout", "asyncpg": "timeout"}
"""The argument of each driver that ends its waiting."""

_EXAMPLE = "postgresql://NAME:PASSWORD@HOST/DATABASE"


def check_database_server(variable: str, address: str) -> None:
    """Check that a database answers; waits a little for one that is being started.

    Args:
        variable: The environment variable that names it.
        address: Its address, as SQLAlchemy reads it.

    Raises:
        ConfigError: If that is none, or its driver is not installed.
        DataError: If it does not answer, or refuses the user.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        problem = _problem(variable, address)
        if problem is None:
            return
        if isinstance(problem, ConfigError) or time.monotonic() > until:
            raise problem
        time.sleep(_PAUSE_SECONDS)


def _problem(variable: str, address: str) -> GPTCoreError | None:
    """The error that describes a database, None if it answers."""
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        _connect(address)
    except (ArgumentError, ValueError) as error:
        if isinstance(error, NoSuchModuleError):
            return _lacks_driver(variable, error)
        return ConfigError(f"{variable} must be an address such as {_EXAMPLE}")
    except ImportError as error:
        return _lacks_driver(variable, error)
    except Exception as error:  # each driver has errors of its own
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        return DataError(
            f"the database in {variable} ({redact(address)}) cannot be used: "
            f"{redact(reason[0])}: start it, or unset {variable}"
        )
    return None


def _lacks_driver(variable: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{variable} needs a driver that is not installed ({error}): pip install -e "
        "'.[server]' in the checkout has those of PostgreSQL"
    )


def _connect(address: str) -> None:
    """Open a connection and close it."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    url = make_url(address)
    dialect = url.get_dialect()
    timeout = _TIMEOUTS.get(url.get_driver_name())
    arguments = {timeout: _TIMEOUT_SECONDS} if timeout else {}
    if not dialect.is_async:
        create_engine(url, connect_args=arguments, poolclass=NullPool).connect().close()
        return

    async def connect() -> None:
        engine = create_async_engine(url, connect_args=arguments, poolclass=NullPool)
        async with engine.connect():
            pass

    asyncio.run(connect())


def check_given_databases(addresses: dict[str, str]) -> None:
    """Check databases by the variables that name them; files are checked where they are opened.

    Raises:
        ConfigError: If an address cannot be used.
        DataError: If one does not answer.
    """
    for variable, address in addresses.items():
        if not urlsplit(address).scheme.startswith("sqlite"):
            check_database_server(variable, address)
