"""Answers that end with their clients: as server-sent events, or at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gpt_core.serving.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Answer = TypeVar("Answer")

DONE = "data: [DONE]\n\n"

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class ClientGoneError(Exception):
    """The client closed its connection; nobody reads an answer."""


async def unless_gone(request: Request, work: Coroutine[object, object, Answer]) -> Answer:
    """Await some work; cancel it when the client goes. The body must have been read.

    Raises:
        ClientGoneError: If the client went.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_wait_for_end(request.receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        await _end(working, watching)


def encode(value: object) -> str:
    """A value as JSON on one line."""
    return _ENCODER.encode(value)


def event(value: object) -> str:
    """A value as a server-sent event."""
    return f"data: {encode(value)}\n\n"


class EventStream(Response):
    """Sends events until there are no more, the client goes or it stops reading.

    Args:
        events: The events as text.
        close: Called at the end, whatever it was.
        send_seconds: Time that the client may leave a part unread.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncIterator[str], close: Callable[[], None], send_seconds: float
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events, self._close, self._send_seconds = events, close, send_seconds
        self._sending: float | None = None
        """Since when a part is being sent."""

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Send the events."""
        writing = asyncio.ensure_future(self._write(send))
        watching = asyncio.ensure_future(_wait_for_end(receive))
        limiting = asyncio.ensure_future(self._wait_for_unread())
        try:
            waited = (writing, watching, limiting)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
        finally:
            self._close()
            await _end(writing, watching, limiting)

    async def _wait_for_unread(self) -> None:
        """Wait until a part has been sent for too long, without a timer of each part."""
        loop = asyncio.get_running_loop()
        while True:
            since = self._sending
            until = self._send_seconds + (loop.time() if since is None else since)
            await asyncio.sleep(until - loop.time())
            if since is not None and self._sending == since:
                return

    async def _write(self, send: "Send") -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        try:
            async for part in self._events:
                await self._part(send, part)
            await self._part(send, DONE)
        except ApiError as error:
            await self._part(send, event(error.body))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _part(self, send: "Send", text: str) -> None:
        self._sending = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        self._sending = None


async def _wait_for_end(receive: "Receive") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*works: "asyncio.Future[Answer] | asyncio.Future[None]") -> None:
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)
