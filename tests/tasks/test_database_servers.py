"""Databases that cannot be used are one sentence without their passwords; PostgreSQL answers."""

from collections.abc import Iterator

import pytest
from supervised import Postgres

from gpt_core.errors import ConfigError, DataError
from tasks import database_servers
from tasks.server_checks import check_servers

MLFLOW, PREFECT = "MLFLOW_TRACKING_URI", "PREFECT_SERVER_DATABASE_CONNECTION_URL"
PASSWORD = "s3cret"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres(PASSWORD)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def environment(home: object, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (MLFLOW, PREFECT, "PREFECT_API_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(database_servers, "_WAIT_SECONDS", 0.5)
    return monkeypatch


def refusal(kind: type[Exception]) -> str:
    with pytest.raises(kind) as refused:
        check_servers()
    assert PASSWORD not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("variable", "scheme"), [(MLFLOW, "postgresql"), (PREFECT, "postgresql+asyncpg")]
)
def test_a_database_is_asked_before_anything_starts(
    variable: str, scheme: str, postgres: Postgres, environment: pytest.MonkeyPatch
) -> None:
    place = f"127.0.0.1:{postgres.port}/postgres"
    environment.setenv(variable, f"{scheme}://gptflow:{PASSWORD}@{place}")
    check_servers()
    environment.setenv(variable, f"{scheme}://gptflow:{PASSWORD}x@{place}")
    assert "password authentication failed" in refusal(DataError)
    environment.setenv(variable, f"{scheme}://gptflow:{PASSWORD}@127.0.0.1:1/postgres")
    assert f"start it, or unset {variable}" in refusal(DataError)
    for name, value in postgres.environment_of_clients.items():
        environment.setenv(name, value)
    environment.setenv(variable, f"{scheme}:///postgres")
    check_servers()


def test_an_address_that_cannot_work_is_a_mistake(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(MLFLOW, "mysql+pymysql://host/a")
    assert "a driver that is not installed (No module named 'pymysql')" in refusal(ConfigError)
    environment.delenv(MLFLOW)
    environment.setenv(PREFECT, PASSWORD)
    assert "must be an address such as postgresql://" in refusal(ConfigError)
    environment.setenv(PREFECT, "postgres+unknown://host/a")
    assert "a driver that is not installed" in refusal(ConfigError)
