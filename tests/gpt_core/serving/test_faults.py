"""Clients that go, engines that stall or die, full queues, and servers that are stopped."""

import asyncio
import gc
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from served import Reply, ask, byte_checkpoint, events, serving, within

from gpt_core.generation import engine as engines
from gpt_core.generation.requests import Update
from gpt_core.serving.models import LanguageModel, given_checkpoint
from gpt_core.serving.scheduler import Scheduler
from gpt_core.serving.server import Server
from gpt_core.serving.settings import ServingConfig

LONG: dict[str, Any] = {
    "prompt": "a", "max_tokens": 250, "logit_bias": {"256": -100}, "seed": 1
}  # fmt: skip


class FaultyEngine(engines.Engine):
    """An engine whose steps take longer, wait or fail."""

    seconds = 0.0
    waiting = threading.Event()
    broken = False
    steps = 0

    def step(self) -> list[Update]:
        if FaultyEngine.broken:
            raise RuntimeError("a fault with a secret in its text")
        FaultyEngine.steps += 1
        FaultyEngine.waiting.wait(60)
        time.sleep(FaultyEngine.seconds)
        return super().step()


@pytest.fixture(autouse=True)
def faults(monkeypatch: pytest.MonkeyPatch) -> type[FaultyEngine]:
    monkeypatch.setattr(engines, "Engine", FaultyEngine)
    FaultyEngine.seconds, FaultyEngine.broken = 0.0, False
    FaultyEngine.waiting.set()
    return FaultyEngine


@pytest.fixture
def model(checkpoints: dict[str, Path]) -> Path:
    return checkpoints["pretrained"]


def scheduler_of(server: Server) -> Scheduler:
    return server.models.find(None, LanguageModel).scheduler


@contextmanager
def asking(server: Server, **body: Any) -> Iterator[socket.socket]:
    """A connection on which a long completion was asked for."""
    content = json.dumps({**LONG, **body}).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        yield client


def test_a_full_queue_is_answered_at_once(model: Path, faults: type[FaultyEngine]) -> None:
    faults.seconds = 0.01
    with serving([model], slots=1, queue=1) as server, asking(server), asking(server):
        scheduler = scheduler_of(server)
        assert within(10, lambda: (scheduler.n_running, scheduler.n_waiting) == (1, 1))
        faults.waiting.clear()
        assert within(10, lambda: scheduler.stalled_seconds() > 0.05)
        steps = faults.steps
        refused = ask(f"{server.url}/v1/completions", LONG)
        assert faults.steps == steps, "the answer waits for no step: the engine stands still"
        faults.waiting.set()
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.json["error"]["code"] == "queue_full"
        assert ask(f"{server.url}/health").status == 200
        metrics = ask(f"{server.url}/metrics").content.decode()
        assert 'vllm:num_requests_running{model_name="pretrained"} 1.0' in metrics
        assert 'vllm:num_requests_waiting{model_name="pretrained"} 1.0' in metrics
        assert 'gptflow:requests_refused_total{status="429"} 1.0' in metrics


def steps_at_cancel(
    scheduler: Scheduler, faults: type[FaultyEngine], monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """The steps that had begun when each request was cancelled that had a slot."""
    found: list[int] = []
    cancel = scheduler.cancel

    def count(jobs: Any) -> None:
        if any(job.engine_id in scheduler._running for job in jobs):
            found.append(faults.steps)
        cancel(jobs)

    monkeypatch.setattr(scheduler, "cancel", count)
    return found


def test_a_client_that_goes_frees_its_slot_before_the_next_step(
    model: Path, faults: type[FaultyEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.seconds = 0.02  # a request takes five seconds
    with serving([model], slots=1, queue=4) as server:
        scheduler = scheduler_of(server)
        cancelled = steps_at_cancel(scheduler, faults, monkeypatch)
        with asking(server):  # not streaming
            assert within(10, lambda: scheduler.n_running == 1)
        assert within(4, lambda: scheduler.n_running == 0)
        assert faults.steps <= cancelled[0] + 1
        with asking(server, stream=True) as client:
            assert client.recv(20).startswith(b"HTTP/1.1 200")
            assert within(10, lambda: scheduler.n_running == 1)
        assert within(4, lambda: scheduler.n_running == 0)
        assert faults.steps <= cancelled[1] + 1
        with asking(server):
            for stream in (True, False):
                with asking(server, stream=stream, n=2):  # queued
                    assert within(10, lambda: scheduler.n_waiting == 2)
                assert within(4, lambda: scheduler.n_waiting == 0)
            assert scheduler.n_running == 1


def test_a_stop_string_frees_its_slot(model: Path, faults: type[FaultyEngine]) -> None:
    faults.seconds = 0.02
    with serving([model], slots=1) as server:
        bias = {"120": 100}
        answer = ask(f"{server.url}/v1/completions", {**LONG, "logit_bias": bias, "stop": "xxx"})
        assert answer.json["choices"][0]["text"] == ""
        assert 3 <= answer.json["usage"]["completion_tokens"] <= 4
        assert within(2, lambda: scheduler_of(server).n_running == 0)


def test_an_engine_that_dies_ends_every_request_with_an_error(
    model: Path, faults: type[FaultyEngine], caplog: pytest.LogCaptureFixture
) -> None:
    faults.seconds = 0.01
    with serving([model], slots=2, queue=4) as server:
        replies: dict[str, Reply] = {}

        def join(name: str, **body: Any) -> None:
            replies[name] = ask(f"{server.url}/v1/completions", {**LONG, **body})

        threads = [
            threading.Thread(target=join, args=("whole",)),
            threading.Thread(target=join, args=("stream",), kwargs={"stream": True}),
        ]
        for thread in threads:
            thread.start()
        tokens = 'vllm:generation_tokens_total{model_name="pretrained"}'
        assert within(10, lambda: scheduler_of(server).n_running == 2)
        assert within(10, lambda: tokens in ask(f"{server.url}/metrics").content.decode())
        time.sleep(0.2)
        waiting = threading.Thread(target=join, args=("waiting",))
        waiting.start()
        assert within(10, lambda: scheduler_of(server).n_waiting == 1)
        faults.broken = True
        for thread in (*threads, waiting):
            thread.join(10)
        assert replies["whole"].status == replies["waiting"].status == 500
        assert replies["whole"].message == "the engine of pretrained has failed"
        last = events(replies["stream"].content)[-1]
        assert last["error"]["code"] == "engine_dead"
        assert not replies["stream"].content.endswith(b"[DONE]\n\n")
        health = ask(f"{server.url}/health")
        assert (health.status, health.json["models"]) == (503, {"pretrained": "dead"})
        later = ask(f"{server.url}/v1/completions", LONG)
        assert (later.status, later.json["error"]["code"]) == (503, "engine_dead")
    assert "RuntimeError at" in caplog.text
    assert "secret" not in caplog.text


def test_an_engine_that_stalls_is_reported_and_waited_for_no_longer_than_allowed(
    model: Path, faults: type[FaultyEngine]
) -> None:
    limits = {"stall_seconds": 0.2, "queue_seconds": 0.5, "request_seconds": 0.8}
    with serving([model], slots=1, **limits) as server:
        faults.waiting.clear()
        with asking(server) as running:
            assert within(10, lambda: scheduler_of(server).n_running == 1)
            queued = ask(f"{server.url}/v1/completions", LONG)
            assert (queued.status, queued.json["error"]["code"]) == (503, "queue_timeout")
            assert running.recv(20).startswith(b"HTTP/1.1 504")
        health = ask(f"{server.url}/health")
        assert (health.status, health.json["models"]) == (503, {"pretrained": "stalled"})
        faults.waiting.set()
        assert within(10, lambda: ask(f"{server.url}/health").status == 200)
        assert within(2, lambda: scheduler_of(server).n_running == 0)


def test_a_stream_that_is_not_read_is_given_up(model: Path) -> None:
    with serving([model], slots=4, send_seconds=0.3) as server:
        unread = {"stream": True, "logprobs": 20, "return_token_ids": True, "n": 4}
        content = json.dumps({**LONG, **unread}).encode()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
            )
            assert within(30, lambda: scheduler_of(server).n_running == 4)
            assert within(30, lambda: not server._uvicorn.server_state.tasks)
            assert within(2, lambda: scheduler_of(server).n_running == 0)


def connect_and_drop(server: Server, draw: random.Random) -> None:
    """Connect, do a part of what a client does, and go."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        part = draw.randrange(4)
        if part == 1:
            client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: loc")
        elif part == 2:
            client.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
            )
    if part == 3:
        with asking(server, stream=draw.random() < 0.5, n=draw.choice([1, 3])) as client:
            if draw.random() < 0.5:
                client.settimeout(0.05)
                with suppress(TimeoutError):
                    client.recv(1 << draw.randrange(10))


def open_files() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def tasks_of(server: Server) -> int:
    assert server._loop is not None

    async def count() -> int:
        return len(asyncio.all_tasks())

    return asyncio.run_coroutine_threadsafe(count(), server._loop).result(10)


def resident_megabytes() -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files as Linux shows them")
@pytest.mark.parametrize(
    "cycles", [50, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.soak])]
)
def test_clients_that_connect_and_drop_leave_nothing(model: Path, cycles: int, count: Any) -> None:
    draw = random.Random(cycles)
    with serving([model], slots=4, queue=64, body_seconds=2.0) as server:
        scheduler = scheduler_of(server)

        def is_quiet() -> bool:
            state = server._uvicorn.server_state
            idle = not (scheduler.n_running or scheduler.n_waiting)
            return idle and not state.connections and not state.tasks

        for _ in range(20):
            connect_and_drop(server, draw)
        assert within(10, is_quiet)
        files, tasks, megabytes = open_files(), tasks_of(server), resident_megabytes()
        for _ in range(cycles):
            connect_and_drop(server, draw)
        assert within(10, is_quiet)
        assert open_files() <= files  # one of the first clients may still have had one
        assert tasks_of(server) == tasks
        if cycles >= 1000:
            assert resident_megabytes() - megabytes < 5
        assert ask(f"{server.url}/v1/completions", {**LONG, "max_tokens": 4}).status == 200
        count("dropped connections", cycles)


def test_what_takes_too_long_after_a_stop_ends_with_an_error(
    model: Path, faults: type[FaultyEngine]
) -> None:
    faults.seconds = 0.02
    received = b""
    with (
        serving([model], slots=1, stop_seconds=0.3) as server,
        asking(server, stream=True) as client,
    ):
        assert client.recv(20).startswith(b"HTTP/1.1 200")
        server.stop()
        while part := client.recv(1 << 16):
            received += part
    assert b'"code":"stopping"' in received
    assert b"[DONE]" not in received


def engine_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("engine-")]


def test_a_stop_waits_until_the_engine_is_freed(
    model: Path, faults: type[FaultyEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "__del__", lambda engine: time.sleep(0.5), raising=False)
    with serving([model]) as server:
        assert engine_threads() == ["engine-pretrained"]
    assert not engine_threads()
    server.models.replace(given_checkpoint(model))  # as a follower of a registry may, just then
    assert not engine_threads()


def test_an_engine_that_hangs_at_the_stop_is_reported(
    model: Path, faults: type[FaultyEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt_core.serving.server._THREADS", 0.2)
    late: list[str] = []
    server = Server([given_checkpoint(model)], ServingConfig(port=0, slots=1, stop_seconds=0.3))
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set, lambda: late.append("late")))
    thread.start()
    assert ready.wait(60)
    faults.waiting.clear()
    with asking(server):
        assert within(10, lambda: scheduler_of(server).stalled_seconds() > 0)
        server.stop()
        thread.join(30)
    assert late == ["late"]
    faults.waiting.set()
    assert scheduler_of(server).join(10)


@pytest.mark.long
def test_sigterm_finishes_what_runs(tmp_path: Path, project_root: Path) -> None:
    checkpoint = byte_checkpoint(tmp_path / "model", "pretrained", context_length=1024)
    command = [sys.executable, "-m", "gpt_core", "serve", "--port", "0", "--slots", "1"]
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--checkpoint", checkpoint.path], cwd=project_root, stdout=file, stderr=file
        )
    try:
        assert within(120, lambda: "serving at" in output.read_text() or bool(process.poll()))
        found = re.search(r"serving at http://127\.0\.0\.1:(\d+)/", output.read_text())
        assert found, output.read_text()
        port = int(found[1])
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({**LONG, "max_tokens": 900, "stream": True})
        client.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        response = client.getresponse()
        first = response.read(100)
        process.send_signal(signal.SIGTERM)
        chunks = events(first + response.read())
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        client.close()
        assert process.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    finally:
        process.kill()
        process.wait()
    lines = output.read_text().splitlines()
    assert lines[0] == "loading model ..."
    assert lines[-1] == "stopped"
    assert any(line.startswith("  curl http://127.0.0.1") for line in lines)
    assert any("900 tokens" in line for line in lines)
