"""Cheap clients of the server for its benchmark: raw sockets and one selector for all of them.

A client of httpx takes a third of what the engine itself takes for a token of a small model, which
on two cores would be measured as the server's.
"""

import http.client
import json
import selectors
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_EVENT, _USAGE = b"data: {", b'"completion_tokens":'


@dataclass(eq=False)
class Stream:
    """A client that reads one streamed answer."""

    connection: socket.socket
    asked: float
    """When it sent its request."""

    times: list[float] = field(default_factory=list)
    """When each event with a part of the answer arrived."""

    tokens: int = 0
    received: bytearray = field(default_factory=bytearray)

    def read(self) -> bool:
        """Read what has arrived; whether the answer is complete.

        Raises:
            RuntimeError: If the server refused it or broke it off.
        """
        part = self.connection.recv(1 << 16)
        now = time.perf_counter()
        start = max(0, len(self.received) - len(_EVENT) + 1)
        self.received += part
        self.times += [now] * self.received.count(_EVENT, start)
        if not part or not self.received.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"an answer ended with {bytes(self.received[-200:])!r}")
        if not self.received.endswith(b"0\r\n\r\n"):
            return False
        self.times.pop()  # the event with the usage
        self.tokens = int(self.received.rpartition(_USAGE)[2].split(b",")[0])
        return True


def encode_post(body: Mapping[str, object]) -> bytes:
    """A request for a completion as it is sent."""
    content = json.dumps(body).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    return f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def open_stream(port: int, body: Mapping[str, object]) -> Stream:
    """Connect and ask for a streamed answer."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    asked = time.perf_counter()
    connection.sendall(encode_post(streamed))
    return Stream(connection, asked)


def stream_all(port: int, bodies: Sequence[Mapping[str, object]]) -> list[Stream]:
    """Ask for all answers at once, each over a connection of its own, and read them to the end."""
    streams = [open_stream(port, body) for body in bodies]
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.connection, selectors.EVENT_READ, stream)
        while selector.get_map():
            for key, _ in selector.select():
                if key.data.read():
                    selector.unregister(key.fileobj)
                    key.data.connection.close()
    return streams


class HealthProbe:
    """Asks for the server's health all the time, in a thread; ``seconds`` are of each answer."""

    def __init__(self, port: int, pause: float = 0.02) -> None:
        self.seconds: list[float] = []
        self._port, self._pause, self._stop = port, pause, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "HealthProbe":
        """Begin to ask."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stop.wait(self._pause):
            started = time.perf_counter()
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            self.seconds.append(time.perf_counter() - started)
        connection.close()
