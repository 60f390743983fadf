"""Servers of all kinds behind the addresses of Prefect and MLflow: one sentence for each."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpt_core.errors import ConfigError, DataError
from tasks import server_checks
from tasks.server_checks import check_servers, check_tracking

PREFECT, MLFLOW = "PREFECT_API_URL", "MLFLOW_TRACKING_URI"
GOOD = {PREFECT: (200, json.dumps("3.8.8")), MLFLOW: (200, '{"experiments": []}')}


class Alien(ThreadingHTTPServer):
    """A server that gives one answer, and notes how it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: tuple[int, str] = (200, "{}")
        self.location = ""
        self.asked: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        alien = self.server
        assert isinstance(alien, Alien)
        alien.asked.append((self.path, self.headers["Authorization"]))
        status, content = alien.answer
        self.send_response(302 if alien.location else status)
        if alien.location:
            self.send_header("Location", alien.location)
            alien.location = ""
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def alien() -> Iterator[Alien]:
    with Alien() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No server of the user's, no files of passwords, and no waiting."""
    names = ("USERNAME", "PASSWORD", "TOKEN", "AUTH")
    for name in (PREFECT, MLFLOW, "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"):
        monkeypatch.setenv(name, "")
    for name in names:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(server_checks, "_WAIT_SECONDS", 0.0)
    return monkeypatch


def address_of(variable: str, alien: Alien) -> str:
    return alien.address + ("/api" if variable == PREFECT else "")


@pytest.mark.parametrize("variable", [PREFECT, MLFLOW])
def test_a_server_that_answers_as_it_should_is_accepted(
    variable: str, alien: Alien, environment: pytest.MonkeyPatch
) -> None:
    alien.answer = GOOD[variable]
    environment.setenv(variable, address_of(variable, alien) + "/")
    check_servers()
    assert len(alien.asked) == 1


@pytest.mark.parametrize("variable", [PREFECT, MLFLOW])
@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        ((401, "no"), ConfigError, r"server at .* refuses the request \(401\): set (PRE|MLF)"),
        ((403, "no"), ConfigError, r"refuses the request \(403\): set (PREFECT_API_AUTH|MLFLOW_)"),
        ((500, "no"), DataError, "answers 500: its log says why"),
        ((503, "no"), DataError, "answers 503"),
        ((404, "no"), ConfigError, "must be the address of .* answers 404"),
        ((200, "<html>"), ConfigError, "must be the address of .* something else than JSON"),
        ((200, "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")), ConfigError, "else"),
        ((200, "[]"), ConfigError, "must be the address of"),
    ],
)
def test_any_other_answer_is_one_sentence(
    variable: str,
    answer: tuple[int, str],
    kind: type[Exception],
    sentence: str,
    alien: Alien,
    environment: pytest.MonkeyPatch,
) -> None:
    alien.answer = answer
    environment.setenv(variable, address_of(variable, alien))
    with pytest.raises(kind, match=sentence):
        check_servers()


@pytest.mark.parametrize("variable", [PREFECT, MLFLOW])
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:4200", "http://", "http://127.0.0.1:port", "http://127.0.0.1:99999", "http://[",
     "ftp://127.0.0.1", "me:secret@127.0.0.1:80", "http://me:se/cret@host", "htp://me:secret@h"],
)  # fmt: skip
def test_what_is_no_address_is_named_without_its_password(
    variable: str, address: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(variable, address)
    with pytest.raises(ConfigError, match=rf"^{variable} must (be|begin with) .*, got ") as caught:
        check_servers()
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("variable", [PREFECT, MLFLOW])
def test_a_server_that_is_away_is_waited_for_and_named(
    variable: str, alien: Alien, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(variable, address_of(variable, alien))
    alien.shutdown()
    alien.server_close()
    with pytest.raises(DataError, match=rf"does not answer .*start it .*unset {variable}"):
        check_servers()


def test_an_address_of_prefect_ends_with_api(alien: Alien, environment: pytest.MonkeyPatch) -> None:
    alien.answer = (200, "<html>")
    environment.setenv(PREFECT, alien.address)
    with pytest.raises(ConfigError, match="which ends with /api"):
        check_servers()


def test_passwords_are_sent_as_the_libraries_send_them(
    alien: Alien, environment: pytest.MonkeyPatch
) -> None:
    basic = f"Basic {base64.b64encode(b'me:secret').decode()}"
    with_password = alien.address.replace("//", "//me:secret@")
    for variable in (PREFECT, MLFLOW):
        alien.answer = GOOD[variable]
        environment.setenv(PREFECT, "")
        environment.setenv(variable, with_password)
        check_servers()
    environment.setenv("MLFLOW_TRACKING_USERNAME", "")
    environment.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    check_servers()
    assert [sent for _, sent in alien.asked] == [basic, basic, "Bearer abc"]


def test_a_password_does_not_follow_a_redirect(
    alien: Alien, environment: pytest.MonkeyPatch
) -> None:
    alien.answer, alien.location = GOOD[MLFLOW], f"{alien.address}/elsewhere"
    environment.setenv(MLFLOW, alien.address.replace("//", "//me:secret@"))
    check_servers()
    assert [path for path, sent in alien.asked if sent is None] == ["/elsewhere"]


def test_where_mlflow_has_passwords_of_its_own_it_decides(
    alien: Alien, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alien.answer = (401, "")
    (tmp_path / "user" / ".mlflow").mkdir(parents=True)
    (tmp_path / "user" / ".mlflow" / "credentials").touch()
    check_tracking(alien.address)
    environment.setenv("MLFLOW_TRACKING_TOKEN", "wrong")
    with pytest.raises(ConfigError, match="refuses"):
        check_tracking(alien.address)
    environment.setenv("MLFLOW_TRACKING_AUTH", "plugin")
    check_tracking(alien.address)


def test_services_are_for_mlflow_to_open() -> None:
    check_tracking("databricks")


def test_an_embedded_store_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    check_servers()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["home", "a%20b?c#d"])
def test_the_embedded_store_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / name))
    (tmp_path / name / "mlflow" / "mlflow.db").mkdir(parents=True)
    with pytest.raises(DataError, match="is a folder, not MLflow's database"):
        check_servers()
