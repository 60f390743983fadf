"""Web pages, other users and other homes cannot use the servers that a run or ``up`` starts."""

import asyncio
import base64
import http.client
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import websockets
from websockets.exceptions import WebSocketException

from tasks.credentials import password_file, read_password
from tasks.processes import running
from tasks.servers import MLFLOW, PREFECT, PrefectServer, start_mlflow_server
from tasks.up import stop_everything

Count = Callable[[str, int], None]
ATTACKS = "attacks on the servers"

STRANGERS = ("http://example.com", "null", "http://127.0.0.1.example.com", "http://localhost:1")
REBOUND = ("example.com", "example.com:{port}", "127.0.0.1.example.com:{port}", "10.0.0.1:{port}")
PATHS = ("/api/admin/settings", "/api/deployments/", "/api/block_documents/filter", "/api/nothing")
WRONG = ("", "Basic", "Basic !", "Basic {other}", "Bearer {password}", "Basic {password}")


@dataclass(frozen=True)
class Answer:
    """Status and headers of an answer."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True)
class Target:
    """A server that is attacked."""

    url: str

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.url).port or 0

    def ask(self, method: str, path: str, **headers: str) -> Answer:
        """Send a request as it is, with any host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            body = b"{}" if method in ("POST", "PATCH", "PUT") else b""
            sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
            for name, value in sent.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            answer = connection.getresponse()
            answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose servers run, started as if others could read every new file."""
    folder = tmp_path_factory.mktemp("attacked")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
            patch.delenv(name)
        patch.setenv("GPTFLOW_HOME", str(folder))
        patch.setenv("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "true")
        patch.setenv("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "*")
        patch.setenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "*")
        before = os.umask(0)
        try:
            yield folder
        finally:
            os.umask(before)
            stop_everything()
            for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
                patch.delenv(name)


@pytest.fixture(scope="module")
def prefect(home: Path) -> Target:
    server = PrefectServer()
    server.start()
    return Target(server.wait().removesuffix("/api"))


@pytest.fixture(scope="module")
def mlflow(home: Path) -> Target:
    server = start_mlflow_server()
    server.wait()
    return Target(server.url)


@pytest.fixture
def right(prefect: Target) -> str:
    """The header of a client that knows the password."""
    return basic(read_password())


def basic(password: str) -> str:
    return f"Basic {base64.b64encode(password.encode()).decode()}"


def test_prefect_answers_who_knows_the_password(prefect: Target, right: str) -> None:
    own = f"http://127.0.0.1:{prefect.port}"
    assert prefect.ask("GET", "/api/admin/version", Authorization=right).status == 200
    assert prefect.ask("GET", "/api/admin/version", Authorization=right, Origin=own).status == 200
    host = f"localhost:{prefect.port}"
    assert prefect.ask("GET", "/api/admin/version", Authorization=right, Host=host).status == 200
    assert prefect.ask("GET", "/").status == 200, "the pages themselves are public"


@pytest.mark.parametrize("path", PATHS)
def test_prefect_refuses_wrong_and_missing_passwords(
    prefect: Target, path: str, count: Count
) -> None:
    names = {"password": read_password(), "other": basic("admin:pass").split()[1]}
    for wrong in WRONG:
        headers = {"Authorization": wrong.format(**names)} if wrong else {}
        for method in ("GET", "POST", "PATCH", "DELETE"):
            assert prefect.ask(method, path, **headers).status == 401, (method, wrong)
    count(ATTACKS, len(WRONG) * 4)


@pytest.mark.parametrize("origin", STRANGERS)
def test_prefect_refuses_pages_of_other_origins(
    prefect: Target, right: str, origin: str, count: Count
) -> None:
    asked = {"Access_Control_Request_Method": "PATCH", "Access_Control_Request_Headers": "x"}
    for path in PATHS:
        preflight = prefect.ask("OPTIONS", path, Origin=origin, **asked)
        assert preflight.status == 403
        assert "access-control-allow-origin" not in preflight.headers
        for method in ("GET", "POST", "PATCH", "DELETE"):
            answer = prefect.ask(method, path, Origin=origin, Authorization=right)
            assert answer.status == 403
            assert "access-control-allow-origin" not in answer.headers
    count(ATTACKS, len(PATHS) * 5)


@pytest.mark.parametrize("host", REBOUND)
def test_prefect_refuses_names_that_were_pointed_at_this_machine(
    prefect: Target, right: str, host: str, count: Count
) -> None:
    name = host.format(port=prefect.port)
    for path in (*PATHS, "/", "/enter", "/api/health"):
        for method in ("GET", "PATCH"):
            for origin in ({}, {"Origin": f"http://{name}"}):
                answer = prefect.ask(method, path, Host=name, Authorization=right, **origin)
                assert answer.status == 403
    count(ATTACKS, (len(PATHS) + 3) * 4)


@pytest.mark.parametrize("origin", [*STRANGERS, None])
def test_prefect_refuses_sockets_of_other_pages_and_without_password(
    prefect: Target, origin: str | None, count: Count
) -> None:
    address = f"ws://127.0.0.1:{prefect.port}/api/events/in"

    async def attack() -> None:
        async with websockets.connect(
            address, origin=origin, subprotocols=["prefect"], proxy=None
        ) as socket:
            await socket.send(json.dumps({"type": "auth", "token": "wrong"}))
            assert json.loads(await socket.recv())["type"] != "auth_success"

    with pytest.raises(WebSocketException):
        asyncio.run(attack())
    count(ATTACKS, 1)


def test_mlflow_refuses_other_hosts_and_pages(mlflow: Target, count: Count) -> None:
    path = "/ajax-api/2.0/mlflow/experiments/create"
    assert mlflow.ask("GET", "/").status == 200
    for host in REBOUND:
        assert mlflow.ask("GET", "/", Host=host.format(port=mlflow.port)).status == 403
    for origin in ("http://example.com", "null", "http://127.0.0.1.example.com"):
        for method in ("POST", "PATCH", "DELETE"):
            assert mlflow.ask(method, path, Origin=origin).status == 403
        answer = mlflow.ask(
            "OPTIONS", path, Origin=origin, Access_Control_Request_Method="POST"
        )  # fmt: skip
        assert "access-control-allow-origin" not in answer.headers
    count(ATTACKS, len(REBOUND) + 12)


def test_only_the_owner_can_read_the_password(
    home: Path, prefect: Target, mlflow: Target, count: Count
) -> None:
    file, password = password_file(), read_password().encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    secrets = [password, base64.b64encode(password)]
    visible = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    stored = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert len(running([PREFECT, MLFLOW])) >= 2
    assert [path for path, text in stored.items() if password in text] == [file]
    for secret in secrets:
        assert not any(secret in text for text in visible)
    count(ATTACKS, len(visible) + len(stored))
