"""One call of an OpenAI-style chat API, with a limit on every wait and on every byte.

A call ends by its deadline whatever the server does: a timer shuts the connection down, because a
server that sends one byte a second keeps every timeout of the socket from running out. Redirects
are not followed, so a key reaches no other host.
"""

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from gpt_core.config import JudgeConfig
from gpt_core.redaction import HIDDEN, redact

_PATH = "/chat/completions"
_CHUNK = 65_536  # bytes read at a time
_MAX_QUOTED = 160  # characters of a response that a reason quotes
_MIN_SECRET = 8  # characters; a shorter key is a placeholder, such as "ollama"
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED)
_FOREVER = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A reply of the judge, and its cost in tokens and seconds."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class NoReplyError(Exception):
    """A call without a usable reply.

    Args:
        reason: Why, in words.
        lasting: Every other call would end like this one.
        retry_after: The seconds that the server asks to wait.
    """

    def __init__(
        self, reason: str, *, lasting: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.lasting, self.retry_after = lasting, retry_after


class RefusedError(Exception):
    """A request that the server does not take in this form, such as one with a schema."""


@dataclass(slots=True)
class ChatClient:
    """Posts requests to one address.

    Args:
        config: The address, the model and the limits.
        key: Sent as bearer token to that address alone.
    """

    config: JudgeConfig
    key: str | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _closed: bool = False

    def call(self, body: Mapping[str, object], deadline: float) -> Reply:
        """Post one request.

        Args:
            body: The request.
            deadline: When the call must have ended, by ``time.monotonic()``.

        Raises:
            RefusedError: If the server answers that it does not take such a request.
            NoReplyError: If there is no usable reply.
        """
        started = time.monotonic()
        try:
            status, headers, content = self._exchange(json.dumps(body).encode(), deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= deadline
            raise NoReplyError(self._too_late() if late else _why(error)) from error
        text = self._without_key(content.decode("utf-8", "replace"))
        if status != HTTPStatus.OK:
            raise _problem(status, headers, text)
        return _read_reply(text, time.monotonic() - started)

    def _too_late(self) -> str:
        return f"no complete reply within {self.config.answer_seconds:g} s"

    def close(self) -> None:
        """End the calls under way, and let none begin."""
        self._closed = True
        for connection in list(self._open):
            _shut_down(connection)

    def _exchange(self, body: bytes, deadline: float) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection, path = self._connection(deadline)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            connection.connect()
            with self._limited(connection.sock, deadline):
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                return response.status, response.headers, self._read(response, deadline)
        finally:
            connection.close()

    def _connection(self, deadline: float) -> tuple[http.client.HTTPConnection, str]:
        parts = urlsplit(self.config.url or "")
        left = deadline - time.monotonic()
        if left <= 0 or self._closed:
            raise TimeoutError("no time is left")
        path = parts.path.rstrip("/")
        path = path if path.endswith(_PATH) else path + _PATH
        timeout = min(self.config.connect_seconds, left)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=timeout), path
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context), path

    @contextmanager
    def _limited(self, connection: socket.socket, deadline: float) -> Iterator[None]:
        """Shut a connection down at the deadline, and bound each of its waits."""
        left = max(0.001, deadline - time.monotonic())
        connection.settimeout(min(self.config.read_seconds, left))
        timer = threading.Timer(left, _shut_down, [connection])
        timer.daemon = True
        timer.start()
        self._open.add(connection)
        try:
            yield
        finally:
            self._open.discard(connection)
            timer.cancel()

    def _read(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        limit, content = self.config.max_bytes, bytearray()
        while chunk := response.read1(_CHUNK):
            content += chunk
            if len(content) > limit:
                raise ValueError(f"the response is longer than judge.max_bytes, {limit:,} bytes")
            if time.monotonic() >= deadline:
                raise TimeoutError("no time is left")
        if response.length:  # what http.client's read1 does not treat as an error
            raise http.client.IncompleteRead(bytes(content), response.length)
        return bytes(content)

    def _without_key(self, text: str) -> str:
        """Hide the key where a server repeats it, as some do in their errors."""
        if self.key and len(self.key) >= _MIN_SECRET:
            return text.replace(self.key, HIDDEN)
        return text


def _shut_down(connection: socket.socket) -> None:
    """End a connection under another thread's read; of TLS, its plain socket."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


def _problem(status: int, headers: http.client.HTTPMessage, text: str) -> Exception:
    """The error that a response with another status than 200 stands for."""
    said = _shorten(_message(text))
    if status in _REFUSALS:
        return RefusedError(f"HTTP {status}: {said}")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        target = redact(headers.get("Location", "another address"))
        reason = f"HTTP {status}: it redirects to {target:.200}, set judge.url to where it leads"
        return NoReplyError(reason, lasting=True)
    retry_after = _seconds(headers.get("Retry-After"))
    return NoReplyError(
        f"HTTP {status}: {said}", lasting=status in _FOREVER, retry_after=retry_after
    )


def _read_reply(text: str, seconds: float) -> Reply:
    """The reply in a response's body.

    Raises:
        NoReplyError: If it is no chat completion.
    """
    try:
        body = json.loads(text)
        written = body["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise NoReplyError(f"the response is no chat completion: {_shorten(text)}") from None
    if not isinstance(written, str):
        raise NoReplyError("the response has no text")
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Reply(
        text=written,
        prompt_tokens=_count(counts.get("prompt_tokens")),
        completion_tokens=_count(counts.get("completion_tokens")),
        seconds=seconds,
    )


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 40 else 0


def _message(text: str) -> str:
    """The message in an error's body, or all of it."""
    try:
        error = json.loads(text)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError, RecursionError):
        return text


def _shorten(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in " ".join(text[:2000].split()))
    return (
        redact(line if len(line) <= _MAX_QUOTED else f"{line[:_MAX_QUOTED]} …")
        or "an empty response"
    )


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the response ended before it was complete"
    return _shorten(str(error) or type(error).__name__)


def _seconds(header: str | None) -> float | None:
    """The seconds of a ``Retry-After``: a number or a date."""
    if header is None:
        return None
    try:
        if header.strip().isdigit():
            return float(header[:12])
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
