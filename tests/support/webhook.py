"""A webhook that keeps the messages that it gets."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_server import serve_http


@dataclass
class Hook:
    """A webhook that refuses some requests before it takes one."""

    refusals: int = 0
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0
    secret: str = "s3cret"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/{self.secret}?token={self.secret}-too"

    @contextmanager
    def serving(self) -> "Iterator[Hook]":
        """Serve it at a port of its own."""
        with serve_http(type("Handler", (_Handler,), {"hook": self})) as self.port:
            yield self

    @property
    def texts(self) -> list[str]:
        """The messages."""
        return [body["text"] for _, body in self.got]


class _Handler(BaseHTTPRequestHandler):
    hook: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.hook.refusals -= 1
        refused = self.hook.refusals >= 0
        if not refused:
            self.hook.got.append((self.path, body))
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass
