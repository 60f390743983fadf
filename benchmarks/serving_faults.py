"""Clients that drop and clients that are refused: how fast is a slot free, how fast comes a 429?

The server of the dropping clients is in this process, where its slots and tasks can be counted.
"""

import asyncio
import gc
import random
import selectors
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.serving_clients import Stream, encode_post, open_stream
from gpt_core.serving.models import LanguageModel, given_checkpoint
from gpt_core.serving.scheduler import Scheduler
from gpt_core.serving.server import Server
from gpt_core.serving.settings import ServingConfig

_RESET = struct.pack("ii", 1, 0)  # close with RST
Row = tuple[str, str]


def measure_drops(checkpoint: Path, slots: int, body: dict[str, object], n: int) -> list[Row]:
    """Drop clients from a busy server and measure until their slots are free; then drop 1,000.

    Args:
        checkpoint: The model.
        slots: Of the server.
        body: A request whose answer takes long.
        n: How many clients drop while all other slots are decoding.
    """
    with _serving_here(checkpoint, slots) as server:
        scheduler = server.models.find(None, LanguageModel).scheduler
        with reading(server.port, [body] * (slots - 1)):
            _wait(lambda: scheduler.n_running == slots - 1)
            seconds = [_drop_one(server.port, scheduler, body, i) for i in range(n)]
        _wait(lambda: _is_quiet(server, scheduler))
        rows = [(f"slot free after its client dropped, {n} clients, others decoding: median, 99th "
                 "percentile, most, ms", _show(seconds))]  # fmt: skip
        return [*rows, *_drop_many(server, scheduler, body, 1000)]


def measure_refusals(port: int, n_filling: int, body: dict[str, object], n: int) -> list[Row]:
    """Fill slots and queue with long answers, then time requests until their 429.

    Args:
        port: Of the server.
        n_filling: Requests that fill slots and queue.
        body: A request whose answer takes long.
        n: How many requests are refused.
    """
    with reading(port, [body] * n_filling):
        _wait(lambda: _ask(port, body)[0] == b"429")
        answers = [_ask(port, body) for _ in range(n)]
    assert {status for status, _ in answers} == {b"429"}
    seconds = [each for _, each in answers]
    return [(f"429 while the queue is full and the engine decodes, {n} requests: median, 99th "
             "percentile, most, ms", _show(seconds))]  # fmt: skip


@contextmanager
def reading(port: int, bodies: Sequence[dict[str, object]]) -> Iterator[None]:
    """Streams that are read in a thread, and dropped at the end."""
    streams = [open_stream(port, body) for body in bodies]
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(streams, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for stream in streams:
            stream.connection.close()


def _read(streams: Sequence[Stream], stop: threading.Event) -> None:
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.connection, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in selector.select(0.1):
                if not key.fileobj.recv(1 << 16):  # type: ignore[union-attr]
                    raise RuntimeError("a stream ended before the measurement did")
            time.sleep(0.02)  # a client that reads every token would take the server's CPU


def _drop_one(port: int, scheduler: Scheduler, body: dict[str, object], index: int) -> float:
    """Drop a client that has read some tokens; returns the seconds until its slot is free."""
    n_before = scheduler.n_running
    client = open_stream(port, body).connection
    for _ in range(1 + index % 3):
        assert client.recv(1 << 12)
    assert scheduler.n_running == n_before + 1
    _close(client, reset=index % 2 == 1)
    started = time.perf_counter()
    while scheduler.n_running > n_before:
        time.sleep(0.0005)
    return time.perf_counter() - started


def _close(client: socket.socket, *, reset: bool) -> None:
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.close()


def _drop_many(server: Server, scheduler: Scheduler, body: dict[str, object], n: int) -> list[Row]:
    """Clients that do a part of what a client does and go: what of them is left?"""
    draw = random.Random(1)
    for _ in range(50):
        _drop_somewhere(server.port, body, draw)
    _wait(lambda: _is_quiet(server, scheduler))
    before = _count(server, scheduler)
    for _ in range(n):
        _drop_somewhere(server.port, body, draw)
    _wait(lambda: _is_quiet(server, scheduler))
    after = _count(server, scheduler)
    names = ("requests with or before a slot", "tasks", "sockets and files", "RSS in MB")
    pairs = zip(names, before, after, strict=True)
    found = "; ".join(f"{name} {first:.4g} → {last:.4g}" for name, first, last in pairs)
    return [(f"{n:,} clients that connect and drop: before → after", found)]


def _drop_somewhere(port: int, body: dict[str, object], draw: random.Random) -> None:
    content = encode_post({**body, "stream": draw.random() < 0.7, "n": draw.choice([1, 3])})
    lengths = (0, 40, len(content) - 20, len(content), len(content))
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as client:
        length = draw.choice(lengths)
        client.sendall(content[:length])
        if length == len(content) and draw.random() < 0.7:
            with suppress(TimeoutError):
                client.recv(1 << draw.randrange(4, 12))
        _close(client, reset=draw.random() < 0.5)


def _is_quiet(server: Server, scheduler: Scheduler) -> bool:
    state = server._uvicorn.server_state
    return not (scheduler.n_running or scheduler.n_waiting or state.connections or state.tasks)


def _count(server: Server, scheduler: Scheduler) -> tuple[float, ...]:
    async def count() -> int:
        return len(asyncio.all_tasks())

    assert server._loop is not None
    tasks = asyncio.run_coroutine_threadsafe(count(), server._loop).result(10)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return scheduler.n_running + scheduler.n_waiting, tasks, files, resident


def _ask(port: int, body: dict[str, object]) -> tuple[bytes, float]:
    """Connect and ask; returns the status and the seconds until it came."""
    content, started = encode_post(body), time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(content)
        status = client.recv(1 << 12)[9:12]
        return status, time.perf_counter() - started


@contextmanager
def _serving_here(checkpoint: Path, slots: int) -> Iterator[Server]:
    config = ServingConfig(port=0, slots=slots, queue=64, threads=1, body_seconds=2.0)
    server, ready = Server([given_checkpoint(checkpoint)], config), threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    assert ready.wait(120)
    gc.collect()
    gc.freeze()  # as the command does
    try:
        yield server
    finally:
        server.stop()
        thread.join()
        gc.unfreeze()


def _wait(what: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            raise RuntimeError("the server did not come to the expected state")
        time.sleep(0.01)


def _show(seconds: Sequence[float]) -> str:
    ordered = sorted(each * 1000 for each in seconds)
    late = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return f"{statistics.median(ordered):.1f}, {late:.1f}, {ordered[-1]:.1f}"
