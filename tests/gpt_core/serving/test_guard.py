"""Foreign hosts, foreign pages and clients without a key are refused, in OpenAI's shape."""

import http.client
import logging
from pathlib import Path

import pytest
from served import Reply, ask, serving

from gpt_core.errors import ConfigError
from gpt_core.serving.models import given_checkpoint
from gpt_core.serving.server import Server, read_key
from gpt_core.serving.settings import ServingConfig

KEY = "0123456789abcdef"


def send(server: Server, headers: list[tuple[str, str]], method: str = "GET", path: str = "/health",
         body: bytes = b"") -> Reply:  # fmt: skip
    """Send exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    response = connection.getresponse()
    reply = Reply(response.status, dict(response.getheaders()), response.read())
    connection.close()
    return reply


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:{port}", 200), ("127.0.0.1:{port}", 200),
        ("[::1]:{port}", 200), ("evil.example", 403), ("localhost.evil.example", 403),
        ("localhost.", 403), ("", 403), ("127.0.0.1@evil.example", 403),
        ("127.0.0.1:99999999", 403),
        ("[::1", 403), ("0.0.0.0", 403), ("localhost, evil.example", 403),
    ],
)  # fmt: skip
def test_only_the_server_s_own_hosts_are_answered(server: Server, host: str, status: int) -> None:
    reply = send(server, [("Host", host.format(port=server.port))])
    assert reply.status == status
    if status == 403:
        assert reply.message == "the Host header does not name this server"


def test_two_hosts_are_one_too_many(server: Server) -> None:
    assert send(server, [("Host", "localhost"), ("Host", "evil.example")]).status in (400, 403)


def test_foreign_pages_are_refused_and_own_ones_are_not(server: Server) -> None:
    own, post = f"127.0.0.1:{server.port}", ("POST", "/v1/completions", b'{"prompt": "a"}')
    json_kind = ("Content-Type", "application/json")

    def posted(*headers: tuple[str, str]) -> int:
        return send(server, [("Host", own), *headers], *post).status

    assert posted(json_kind, ("Origin", f"http://{own}")) == 200
    assert posted(json_kind) == 200
    for origin in ("http://evil.example", "null", f"http://localhost:{server.port + 1}", "file://"):
        assert posted(json_kind, ("Origin", origin)) == 403
    assert posted(json_kind, ("Sec-Fetch-Site", "cross-site")) == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert posted(("Content-Type", kind)) == 415
    assert posted() == 415
    preflight = send(
        server, [("Host", own), ("Origin", "http://evil.example")], "OPTIONS", "/v1/completions"
    )
    assert preflight.status == 403
    linked = [("Host", own), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")]
    assert send(server, linked, path="/").status in (200, 404)
    assert send(server, linked, path="/metrics").status == 403
    headers = ask(f"{server.url}/health").headers
    assert "access-control-allow-origin" not in headers
    assert headers["x-content-type-options"] == "nosniff"


def test_the_page_s_files_are_the_only_ones_that_are_served(server: Server) -> None:
    page = ask(f"{server.url}/")
    if page.status == 200:
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (
            ask(f"{server.url}/page/page.js").headers["content-type"].startswith("text/javascript")
        )
    for name in ("../app.py", "..%2fapp.py", "%2fetc%2fpasswd", "app.py", "nothing.js", "."):
        assert ask(f"{server.url}/page/{name}").status == 404


def test_a_key_and_an_origin_of_one_s_own(
    checkpoints: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    origin, secret = "https://pages.example", "prompt of one person"
    settings = {"allowed_origins": (origin,), "allowed_hosts": ("models.example",)}
    with (
        caplog.at_level(logging.INFO),
        serving([checkpoints["pretrained"]], key=KEY, **settings) as server,
    ):
        url = server.url
        body = {"prompt": secret, "max_tokens": 3, "model": f"no {secret}"}
        for given in (None, "Bearer", f"Basic {KEY}", f"Bearer {KEY[:-1]}", "Bearer \u00e9\u00e9"):
            reply = ask(
                f"{url}/v1/completions", body, **({"Authorization": given} if given else {})
            )
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == "Bearer"
        assert ask(f"{url}/metrics").status == 401
        assert ask(f"{url}/health").status == 200
        allowed = {"Authorization": f"Bearer {KEY}", "Origin": origin}
        assert ask(f"{url}/v1/completions", body, **allowed).status == 404
        body["model"] = "pretrained"
        answer = ask(f"{url}/v1/completions?{KEY}", body, **allowed, X_Request_Id="a\tb")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)
        assert "b'" not in answer.headers["x-request-id"]
        named = ask(f"{url}/health", X_Request_Id="mine-1", Host="models.example")
        assert named.headers["x-request-id"] == "mine-1"
    assert "POST /v1/completions 200 3 tokens" in caplog.text
    assert secret not in caplog.text
    assert KEY not in caplog.text


def test_what_is_wrong_with_a_server_s_settings_is_a_sentence(
    checkpoints: dict[str, Path], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [given_checkpoint(checkpoints["pretrained"])]
    with pytest.raises(
        ConfigError, match=r"other machines reach 0\.0\.0\.0: set GPTFLOW_SERVE_KEY"
    ):
        Server(given, ServingConfig(host="0.0.0.0", port=0))
    with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1 port {server.port}"):
        Server(given, ServingConfig(port=server.port))
    with pytest.raises(ConfigError, match="two models have the name 'pretrained'"):
        Server(given * 2, ServingConfig(port=0))
    with pytest.raises(ConfigError, match=r"an origin is like https://example\.org"):
        ServingConfig(allowed_origins=("example.org",))
    file = tmp_path / "key"
    monkeypatch.delenv("GPTFLOW_SERVE_KEY", raising=False)
    assert read_key(None) is None
    with pytest.raises(ConfigError, match="the key cannot be read from"):
        read_key(file)
    file.write_text("short\n")
    with pytest.raises(ConfigError, match="must be at least 8 letters"):
        read_key(file)
    file.write_text(f"{KEY}\n")
    assert read_key(file) == KEY
    monkeypatch.setenv("GPTFLOW_SERVE_KEY", f"of {KEY}")
    with pytest.raises(ConfigError, match="without spaces"):
        read_key(None)
