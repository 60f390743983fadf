"""Prefect's server as a web application that answers only to this machine's own pages.

Prefect compares passwords, but looks at neither ``Host`` nor ``Origin``. Both are checked here
before a request reaches it: a page whose name was pointed at 127.0.0.1 after it was loaded sends
its own name as the host (DNS rebinding), and any other page sends its address as the origin.
"""

from typing import TYPE_CHECKING

from prefect.server.api.server import create_app as create_prefect_app
from prefect.settings import get_current_settings
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse

from tasks.environment import local_addresses
from tasks.servers import LOGIN_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOGIN_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Prefect</title>
<script>
const password = decodeURIComponent(location.hash.slice(1));
if (password) localStorage.setItem("prefect-password", btoa(password));
location.replace("/deployments");
</script>
"""
"""Stores the password where Prefect's UI expects it. A browser never sends what follows the #."""


class LocalOnly:
    """Refuses requests that name another host, or that come from a page of another origin.

    Args:
        app: The application that is protected.
        port: Where the server listens.
    """

    def __init__(self, app: "ASGIApp", port: int) -> None:
        self._app = app
        self._origins = frozenset(local_addresses(port))
        self._hosts = frozenset(origin.removeprefix("http://") for origin in self._origins)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request: refuse it, log a browser in, or pass it on."""
        answer = self._answer(scope) if scope["type"] in ("http", "websocket") else None
        await (answer or self._app)(scope, receive, send)

    def _answer(self, scope: "Scope") -> "ASGIApp | None":
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("the host is not this server's own address", 403)
        if origins and not set(origins) <= self._origins:
            return PlainTextResponse("pages of other origins may not ask this server", 403)
        if scope["type"] == "http" and scope["path"] == LOGIN_PATH:
            return HTMLResponse(_LOGIN_PAGE, headers={"Cache-Control": "no-store"})
        return None


def create_app() -> LocalOnly:
    """Prefect's application behind the guard; a factory for uvicorn."""
    port = get_current_settings().server.api.port
    return LocalOnly(create_prefect_app(final=True), port)
