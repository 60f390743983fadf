"""Who may ask the server: the outermost layer, before any route.

A web page anywhere can send requests to servers on the reader's own machine. So a request must name
this server as its host (else another name was pointed at it, DNS rebinding), may come from no
foreign page, and a body must be JSON, which no form of a foreign page can send.
"""

import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from gpt_core.serving.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

PAGE_FILES = "/page/"
"""The beginning of the paths of the page's files."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses requests, answers errors that no route expected, and logs each request in a line.

    The line has no part of a body, no query and no key.

    Args:
        app: The routes.
        hosts: Names by which clients know the server, in addition to those of this machine.
        origins: Origins of pages that may ask it, in addition to its own.
        key: What clients must send as ``Authorization: Bearer KEY``; None needs none.
    """

    def __init__(
        self, app: "ASGIApp", hosts: Iterable[str], origins: Iterable[str], key: str | None
    ) -> None:
        self._app = app
        self._hosts = frozenset(each.lower() for each in (*LOCAL_NAMES, *hosts))
        self._origins = frozenset(origins)
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(scope, send).run(self, receive)

    async def answer(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Check a request and pass it to the routes."""
        refused = self._refusal(scope)
        if refused is not None:
            if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                refused.headers["Connection"] = "close"  # the body is not read
            await JSONResponse(refused.body, refused.status, refused.headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: "Scope") -> ApiError | None:
        headers = Headers(scope=scope)
        host = self._host(headers)
        if host is None:
            return ApiError(403, "the Host header does not name this server", code="foreign_host")
        if not self._is_own_page(scope, headers, host):
            return ApiError(
                403, "pages of other origins may not ask this server", code="foreign_origin"
            )
        preflight = scope["method"] == "OPTIONS"
        if self._key is not None and not _is_open(scope["path"]) and not preflight:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            fits = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._key)
            if scheme.lower() != "bearer" or not fits:
                refused = ApiError(401, "the API key is missing or wrong", code="invalid_api_key")
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused
        if scope["method"] == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return ApiError(415, "send JSON with the header Content-Type: application/json")
        return None

    def _host(self, headers: Headers) -> str | None:
        """The host that a request names, with its port, if it is one of the server's."""
        found = headers.getlist("host")
        match = _HOST.fullmatch(found[0].lower()) if len(found) == 1 else None
        return found[0].lower() if match and match["name"] in self._hosts else None

    def _is_own_page(self, scope: "Scope", headers: Headers, host: str) -> bool:
        origins = headers.getlist("origin")
        own = {f"http://{host}", f"https://{host}"}
        if any(each not in self._origins and each.lower() not in own for each in origins):
            return False
        if headers.get("sec-fetch-site") != "cross-site" or origins:
            return True
        followed = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        return followed and scope["path"] == "/"  # a link to the page


def _is_open(path: str) -> bool:
    """Whether a path needs no key, because nothing of it is secret."""
    return path in ("/", "/health") or path.startswith(PAGE_FILES)


class _Exchange:
    """One request and its response: headers, unexpected errors, and the line in the log."""

    def __init__(self, scope: "Scope", send: "Send") -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self._id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self._scope, self._send, self._status = scope, send, 0
        self._started = time.perf_counter()
        scope["tokens"] = 0

    async def run(self, guard: Guard, receive: "Receive") -> None:
        try:
            await guard.answer(self._scope, receive, self._forward)
        except Exception as error:  # its message may hold a prompt: only its kind is logged
            logger.error("%s: %s at %s", self._id, type(error).__name__, _places(error))
            if not self._status:
                failed = ApiError(500, "the server failed on this request", code="internal_error")
                response = JSONResponse(failed.body, failed.status)
                await response(self._scope, receive, self._forward)
        finally:
            self._log()

    async def _forward(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    def _log(self) -> None:
        route = getattr(self._scope.get("route"), "path", "(no route)")
        milliseconds = (time.perf_counter() - self._started) * 1000
        logger.info(
            "%s %s %s %d tokens %.0f ms %s", self._scope["method"], route,
            self._status or "client gone", self._scope["tokens"], milliseconds, self._id,
        )  # fmt: skip


def _places(error: Exception) -> str:
    """The lines that an error came through, without its message."""
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(found[-4:]))
