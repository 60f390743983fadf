"""Credentials reach the hub that they are for, and nothing else, wherever a hub redirects."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest
from http_server import serve_http
from huggingface_hub import constants

from gpt_core.errors import ConfigError
from tasks.hub_access import gets_token, open_hub

TOKEN, PASSWORD = "hf_c4n4ry", "c4n4ry"
BASIC = f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"
FILE = b"what a file holds"
COMMIT = "c" * 40


@dataclass
class Server:
    """A hub that may send its visitors on."""

    elsewhere: str = ""
    """Where it redirects to, or has its next page."""

    redirects: bool = True
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""

    @property
    def authorizations(self) -> set[str | None]:
        assert self.seen
        return {authorization for _, authorization in self.seen}


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.seen.append((self.path, self.headers["Authorization"]))
            if server.elsewhere and server.redirects:
                self.send_response(307)
                self.send_header("Location", server.elsewhere + self.path)
                self.send_header("ETag", '"e"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Size", str(len(FILE)))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            listing = json.dumps([{"type": "file", "path": "a", "size": 17, "oid": "0"}]).encode()
            body = listing if "/api/" in self.path else FILE
            self.send_response(200)
            if server.elsewhere and "/api/" in self.path:
                self.send_header("Link", f'<{server.elsewhere}{self.path}>; rel="next"')
            self.send_header("ETag", '"e"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    with serve_http(Handler) as port:
        server.address = f"http://127.0.0.1:{port}"
        yield server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving(Server()) as server:
        yield server


@pytest.fixture
def other() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


def ask(mirror: str, folder: object) -> None:
    api = open_hub(mirror)
    list(api.list_repo_tree("someone/small"))
    api.hf_hub_download("someone/small", "a", revision=COMMIT, local_dir=str(folder))


def make_own(monkeypatch: pytest.MonkeyPatch, hub: Server) -> None:
    """Take a hub for the one of HF_ENDPOINT, which the library reads when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def with_password(server: Server) -> str:
    return server.address.replace("http://", f"http://me:{PASSWORD}@")


def test_a_mirror_gets_no_token(hub: Server, tmp_path: object) -> None:
    ask(hub.address, tmp_path)
    assert hub.authorizations == {None}


def test_the_users_own_hub_gets_it(
    hub: Server, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_own(monkeypatch, hub)
    ask(f"{hub.address}/", tmp_path)
    assert hub.authorizations == {f"Bearer {TOKEN}"}


def test_a_password_goes_to_its_mirror_alone(hub: Server, other: Server, tmp_path: object) -> None:
    ask(with_password(hub), tmp_path)
    assert hub.authorizations == {BASIC}
    ask(other.address, tmp_path)
    assert other.authorizations == {None}


@pytest.mark.parametrize("redirects", [True, False])
@pytest.mark.parametrize("credential", ["token", "password"])
def test_nothing_goes_to_where_a_hub_redirects_or_has_its_next_page(
    hub: Server,
    other: Server,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
    redirects: bool,
    credential: str,
) -> None:
    mirror = with_password(hub) if credential == "password" else hub.address
    if credential == "token":
        make_own(monkeypatch, hub)
    hub.elsewhere, hub.redirects = other.address, redirects
    ask(mirror, tmp_path)
    assert hub.authorizations == {BASIC if credential == "password" else f"Bearer {TOKEN}"}
    assert other.authorizations == {None}


@pytest.mark.parametrize(
    ("endpoint", "asked", "gets"),
    [
        ("https://huggingface.co", "https://huggingface.co/", True),
        ("https://huggingface.co", "https://HuggingFace.co:443", True),
        ("https://huggingface.co", "http://huggingface.co", False),
        ("https://huggingface.co", "https://huggingface.co.example", False),
        ("https://huggingface.co", "https://huggingface.co:8443", False),
        ("https://huggingface.co", "https://mirror.example", False),
        ("https://mirror.example", "https://mirror.example", True),
        ("https://mirror.example", "https://huggingface.co", False),
        ("http://mirror.example", "http://mirror.example", False),
        ("http://127.0.0.1:9", "http://127.0.0.1:9", True),
    ],
)
def test_the_token_is_for_one_hub_over_a_private_connection(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, asked: str, gets: bool
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert gets_token(asked) == gets


@pytest.mark.parametrize("mirror", ["ftp://host", "host", "https://", "https://h:port", "http://["])
def test_what_is_no_address_of_a_hub_is_refused(mirror: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        open_hub(mirror)
