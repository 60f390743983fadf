"""Each home gets a server of its own, found again, and stopped without touching another's."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from http_server import free_port, serve_http

from gpt_core.errors import DataError
from gpt_core.files import write_json
from tasks import servers
from tasks.credentials import read_password
from tasks.servers import (
    MLFLOW,
    PREFECT,
    PrefectServer,
    Server,
    is_healthy,
    mlflow_ui_url,
    running_prefect_server,
    start_mlflow_server,
    stop_mlflow_server,
    stop_prefect_server,
)

STARTED_AT_A_SIGNAL = """
import sys
from tasks import servers
servers.PREFECT_PORT = int(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
server = servers.PrefectServer()
server.start()
print(server.wait(), flush=True)
"""


@pytest.fixture
def environment() -> Iterator[None]:
    """An environment without settings of the servers, which tests may change."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def empty_home(tmp_path: Path, environment: None) -> Path:
    """A home without servers."""
    os.environ["GPTFLOW_HOME"] = str(tmp_path)
    return tmp_path


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is no server, in a group of its own."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def home_of(url: str) -> str:
    """The home that a Prefect server says it works in."""
    token = base64.b64encode(read_password().encode()).decode()
    request = urllib.request.Request(f"{url}/admin/settings")
    request.add_header("Authorization", f"Basic {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["home"])


@pytest.mark.long
def test_two_homes_that_start_at_the_same_moment_get_a_server_each(
    empty_home: Path, project_root: Path
) -> None:
    port = free_port()
    homes = [empty_home / name for name in ("one", "other")]
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", STARTED_AT_A_SIGNAL, str(port)],
            env={**os.environ, "GPTFLOW_HOME": str(home)},
            cwd=project_root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for home in homes
    ]  # fmt: skip
    try:
        assert [process.stdout.readline() for process in starting] == ["ready\n"] * 2
        for process in starting:
            process.stdin.write("\n")
            process.stdin.flush()
        urls = [process.communicate(timeout=120)[0].strip() for process in starting]
        assert len(set(urls)) == 2
        assert f"http://127.0.0.1:{port}/api" in urls
        for home, url, neighbour in zip(homes, urls, reversed(urls), strict=True):
            os.environ["GPTFLOW_HOME"] = str(home)
            assert home_of(url) == str(home / ".prefect")
            with pytest.raises(urllib.error.HTTPError, match="401"):
                home_of(neighbour)
            assert Server(PREFECT, url, 0).answers()
            assert not Server(PREFECT, neighbour, 0).answers()
        os.environ["GPTFLOW_HOME"] = str(homes[0])
        assert stop_prefect_server()
        assert not is_healthy(f"{urls[0]}/health")
        os.environ["GPTFLOW_HOME"] = str(homes[1])
        assert home_of(urls[1]) == str(homes[1] / ".prefect")
    finally:
        for home in homes:
            os.environ["GPTFLOW_HOME"] = str(home)
            stop_prefect_server()


def test_two_mlflow_servers_of_one_moment_have_ports_of_their_own(empty_home: Path) -> None:
    port, started = free_port(), {}
    for name in ("one", "other"):
        os.environ["GPTFLOW_HOME"] = str(empty_home / name)
        started[name] = start_mlflow_server(port)
        assert mlflow_ui_url() == started[name].url
    assert started["one"].url == f"http://127.0.0.1:{port}"
    assert started["other"].url != started["one"].url
    for name in started:
        os.environ["GPTFLOW_HOME"] = str(empty_home / name)
        assert stop_mlflow_server()
        assert not started[name].is_alive()
        assert not stop_mlflow_server()
    assert mlflow_ui_url() == "http://127.0.0.1:5000"


@pytest.mark.parametrize("kind", [PREFECT, MLFLOW])
def test_another_servers_answer_does_not_count_for_one_that_has_ended(
    empty_home: Path, kind: str
) -> None:
    handler = type(
        "Healthy", (BaseHTTPRequestHandler,),
        {"do_GET": lambda self: (self.send_response(200), self.end_headers()),
         "log_message": lambda *arguments: None},
    )  # fmt: skip
    with serve_http(handler) as port:
        url = f"http://127.0.0.1:{port}/api"
        ended = subprocess.Popen(["true"])
        ended.wait()
        refusal = r"did not start or hangs: see the logs in .*\.prefect; gptflow down stops it"
        with pytest.raises(DataError, match=refusal):
            Server(kind, url, ended.pid).wait()


def test_a_process_that_got_a_servers_number_is_not_taken_for_it(
    empty_home: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    record = empty_home / ".prefect" / "server.json"
    write_json(record, {"url": "http://127.0.0.1:1/api", "pid": sleeper.pid})
    assert running_prefect_server() == ""
    assert not stop_prefect_server()
    assert sleeper.poll() is None
    assert not record.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"url": 1}', '{"url": "x", "pid": "y"}'])
def test_a_damaged_record_is_no_server(empty_home: Path, content: str) -> None:
    (empty_home / ".prefect").mkdir()
    (empty_home / ".prefect" / "server.json").write_text(content)
    assert running_prefect_server() == ""
    assert not stop_prefect_server()


def test_a_running_server_is_found_and_not_started_again(
    prefect_api: str, environment: None
) -> None:
    server = PrefectServer()
    server.start()
    assert server.wait() == os.environ["PREFECT_API_URL"] == running_prefect_server() == prefect_api


def test_the_users_own_server_is_used_and_named_when_it_does_not_answer(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.setattr(servers, "_FOREIGN_SECONDS", 0.3)
    server = PrefectServer()
    server.start()
    with pytest.raises(DataError, match=rf"{server.url} does not answer: .* PREFECT_API_URL"):
        server.wait()
    assert not (empty_home / ".prefect").exists()


def test_what_does_not_speak_http_is_no_healthy_server() -> None:
    """A socket that connects to its own port, which happens to free ports, answers the question."""

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(connection.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        assert not is_healthy(f"http://127.0.0.1:{listening.getsockname()[1]}/health")
        thread.join()
