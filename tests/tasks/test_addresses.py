"""Passwords in addresses stay in the process that was given them."""

import io
import logging
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpt_core.config import BenchmarkConfig, GPT2ImportConfig, RunConfig
from gpt_core.errors import ConfigError
from tasks.addresses import (
    full_address,
    hide_passwords,
    hide_server_passwords,
    redact_logs,
)

SERVERS = (
    "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
    "PREFECT_API_URL", "PREFECT_API_AUTH_STRING",
)  # fmt: skip


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in SERVERS:
        monkeypatch.setenv(name, "")  # so that what is set here is gone afterwards
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before, stream = logging.getLogRecordFactory(), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("another.package")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_a_configuration_keeps_no_password_and_the_address_is_found_again() -> None:
    mirror, table = "https://me:secret@hub.example", "https://host/t.csv?token=secret"
    config = RunConfig(
        source="http://me:secret@host/text.txt",
        gpt2=GPT2ImportConfig(mirrors=(mirror, "https://huggingface.co")),
        benchmarks=BenchmarkConfig(lambada=table),
    )
    hidden = hide_passwords(config)
    assert "secret" not in repr(hidden)
    assert hidden.gpt2.mirrors == ("https://***@hub.example", "https://huggingface.co")
    assert [full_address(each) for each in hidden.gpt2.mirrors] == list(config.gpt2.mirrors)
    assert full_address(str(hidden.benchmarks.lambada)) == table
    assert hide_passwords(hidden) == hidden
    assert full_address(hidden.source) == config.source


def test_a_configuration_without_passwords_is_the_same() -> None:
    config = replace(RunConfig(), source="https://host/@me")
    assert hide_passwords(config) is config


def test_an_address_that_another_process_hid_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"password of https://\*\*\*@nobody is not recorded"):
        full_address("https://***@nobody")


def test_passwords_of_servers_move_to_their_own_variables(servers: pytest.MonkeyPatch) -> None:
    servers.setenv("MLFLOW_TRACKING_URI", "https://me:p%40ss@host/path")
    servers.setenv("PREFECT_API_URL", "http://you:word@host:4200/api")
    hide_server_passwords()
    hide_server_passwords()
    values = [os.environ[name] for name in SERVERS]
    assert values == ["https://host/path", "me", "p@ss", "http://host:4200/api", "you:word"]


@pytest.mark.parametrize("address", ["postgresql://me:secret@host/name", "http://[bad", ""])
def test_other_addresses_stay(servers: pytest.MonkeyPatch, address: str) -> None:
    servers.setenv("MLFLOW_TRACKING_URI", address)
    hide_server_passwords()
    assert os.environ["MLFLOW_TRACKING_URI"] == address
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_a_token_in_place_of_a_user_is_refused_without_showing_it(
    servers: pytest.MonkeyPatch,
) -> None:
    servers.setenv("MLFLOW_TRACKING_URI", "https://secret@host")
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_TOKEN") as caught:
        hide_server_passwords()
    assert "secret" not in str(caught.value)


def test_messages_and_tracebacks_of_all_loggers_are_redacted(stream: io.StringIO) -> None:
    redact_logs()
    logger, address = logging.getLogger("another.package"), "https://me:secret@host"
    logger.warning("asked %s", address)
    try:
        raise ValueError(address)
    except ValueError:
        logger.exception("failed")
    written = stream.getvalue()
    assert "secret" not in written
    assert "asked https://***@host" in written
    assert "ValueError: https://***@host" in written
