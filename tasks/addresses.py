"""Passwords in addresses: kept in this process's memory, and out of everything that is recorded.

Settings are parameters of Prefect's and MLflow's runs and part of cache keys, so an address is
replaced by one without its password before a flow sees it, and completed where it is asked.
"""

import dataclasses
import logging
import os
from typing import TypeVar, cast

from gpt_core.config.section import Section
from gpt_core.errors import ConfigError
from gpt_core.redaction import HIDDEN, redact, split_user

Config = TypeVar("Config", bound=Section)

_KNOWN: dict[str, str] = {}
"""Complete addresses, by the form without password that takes their place."""


def hide_passwords(config: Config) -> Config:
    """Hide the passwords and tokens of all addresses in a configuration."""
    return cast(Config, _hide(config))


def require_no_passwords(config: Section) -> None:
    """Require a configuration that can be stored in Prefect: one without passwords and tokens.

    Raises:
        ConfigError: If an address in it has one.
    """
    if _hide(config) != config:
        raise ConfigError(
            "a setting of a deployment is stored in Prefect, so it must not hold a password: give "
            "addresses with passwords to single commands only"
        )


def full_address(shown: str) -> str:
    """The complete address that ``hide_passwords`` replaced.

    Raises:
        ConfigError: If it was hidden in another process, which kept it to itself.
    """
    if HIDDEN in shown and shown not in _KNOWN:
        raise ConfigError(
            f"the password of {shown} is not recorded: write the address with its password again"
        )
    return _KNOWN.get(shown, shown)


def hide_server_passwords() -> None:
    """Move the passwords in the servers' addresses to the variables that Prefect and MLflow have.

    Their libraries show addresses in messages, but not these variables.

    Raises:
        ConfigError: If MLflow's address has a user without a password.
    """
    address, user, password = _split("MLFLOW_TRACKING_URI")
    if user or password:
        if not (user and password):
            raise ConfigError(
                f"MLFLOW_TRACKING_URI must have a name and a password before the @, got "
                f"{redact(os.environ['MLFLOW_TRACKING_URI'])}: a token goes into "
                "MLFLOW_TRACKING_TOKEN"
            )
        os.environ["MLFLOW_TRACKING_USERNAME"] = user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = password
        os.environ["MLFLOW_TRACKING_URI"] = address
    address, user, password = _split("PREFECT_API_URL")
    if user or password:
        os.environ["PREFECT_API_AUTH_STRING"] = f"{user}:{password}"
        os.environ["PREFECT_API_URL"] = address


class RedactedRecord(logging.LogRecord):
    """A log record without passwords in its message and traceback."""

    def getMessage(self) -> str:  # noqa: N802
        """The message, its addresses redacted."""
        return redact(super().getMessage())


def redact_logs() -> None:
    """Redact the messages and tracebacks of every logger of this process."""
    logging.setLogRecordFactory(_redacted_record)


def _redacted_record(*args: object, **kwargs: object) -> logging.LogRecord:
    record = RedactedRecord(*args, **kwargs)  # type: ignore[arg-type]
    if record.exc_info and record.exc_info[0]:
        record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
    return record


def _hide(value: object) -> object:
    if isinstance(value, str):
        shown = redact(value)
        if shown != value and HIDDEN not in value:
            _KNOWN[shown] = value
        return shown
    if isinstance(value, tuple):
        return tuple(map(_hide, value))
    if isinstance(value, Section) and not isinstance(value, type):
        changes = {}
        for each in dataclasses.fields(value):
            before = getattr(value, each.name)
            after = _hide(before)
            if after != before:
                changes[each.name] = after
        return dataclasses.replace(value, **changes) if changes else value
    return value


def _split(variable: str) -> tuple[str, str, str]:
    """Split a server's address; those of databases stay as they are."""
    address = os.environ.get(variable, "")
    if address.lower().startswith(("http://", "https://")):
        return split_user(address)
    return address, "", ""
