"""The environment of the servers is quiet and safe; what the user set stays where it may."""

import os
from collections.abc import Iterator

import pytest

from tasks.environment import (
    bypass_proxies,
    configure_environment,
    mlflow_environment,
    prefect_environment,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment without settings of the servers, as it was at the end."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        del os.environ[name]
    os.environ["GPTFLOW_HOME"] = "/home of/gptflow"
    yield
    os.environ.clear()
    os.environ.update(before)


def test_what_the_user_set_stays() -> None:
    os.environ["PREFECT_HOME"] = "elsewhere"
    configure_environment()
    assert os.environ["PREFECT_HOME"] == "elsewhere"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_the_database_is_in_the_home_unless_the_user_has_another() -> None:
    configure_environment()
    name = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
    found = prefect_environment(4200, "word")
    assert found[name] == "sqlite+aiosqlite:////home of/gptflow/.prefect/prefect.db"
    assert found["PREFECT_SERVER_API_AUTH_STRING"] == "word"
    os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = "postgresql+asyncpg://there"
    assert name not in prefect_environment(4200, "word")


def test_the_guard_of_mlflow_is_on_and_the_users_other_settings_stay() -> None:
    os.environ["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"] = "true"
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "true"
    found = mlflow_environment(5000)
    assert found["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"] == "false"
    assert found["MLFLOW_SERVER_ALLOWED_HOSTS"] == "127.0.0.1:5000,localhost:5000,[::1]:5000"
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION" not in found


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "127.0.0.1"), ("host", "host,127.0.0.1"), ("127.0.0.1", "127.0.0.1")],
)
def test_no_proxy_comes_between_a_run_and_its_server(before: str, after: str) -> None:
    os.environ["NO_PROXY"] = before
    bypass_proxies()
    bypass_proxies()
    assert os.environ["NO_PROXY"] == after
