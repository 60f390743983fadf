"""Requests reach Prefect only from this machine's own pages; the login page stores a password."""

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from tasks.prefect_app import LocalOnly
from tasks.servers import LOGIN_PATH

GUARDED = LocalOnly(PlainTextResponse("Prefect"), 4200)


def ask(path: str, app: LocalOnly = GUARDED, **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://unused") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "localhost:4200", "LOCALHOST:4200"])
@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:4200", "http://[::1]:4200"])
def test_own_pages_and_clients_are_answered(host: str, origin: str | None) -> None:
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    assert ask("/api/x", **headers).text == "Prefect"


@pytest.mark.parametrize(
    "host",
    ["", "example.com", "example.com:4200", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:4200.com",
     "localhost:4200@example.com", "127.0.0.1.example.com:4200", "0.0.0.0:4200"],
)  # fmt: skip
def test_other_hosts_are_refused(host: str) -> None:
    assert ask("/api/x", Host=host).status_code == 403
    assert ask(LOGIN_PATH, Host=host).status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://example.com", "https://127.0.0.1:4200", "http://127.0.0.1:5000",
     "http://127.0.0.1:4200.example.com", "http://127.0.0.1:4200, http://example.com"],
)  # fmt: skip
def test_other_origins_are_refused(origin: str) -> None:
    answer = ask("/api/x", Host="127.0.0.1:4200", Origin=origin)
    assert (answer.status_code, answer.text.count("\n")) == (403, 0)


def test_the_login_page_keeps_the_password_in_the_browser() -> None:
    page = ask(LOGIN_PATH, Host="127.0.0.1:4200")
    assert page.headers["cache-control"] == "no-store"
    assert 'localStorage.setItem("prefect-password", btoa(password))' in page.text


def test_a_server_may_have_other_names() -> None:
    named = LocalOnly(PlainTextResponse("Prefect"), 4200, ["prefect:4200"])
    assert ask("/api/x", named, Host="prefect:4200").text == "Prefect"
    assert ask("/api/x", named, Host="example.com:4200").status_code == 403
    strange = {"Host": "prefect:4200", "Origin": "http://prefect:4200"}
    assert ask("/api/x", named, **strange).status_code == 403, "a page of another machine"
