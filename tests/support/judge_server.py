"""A judge behind HTTP that grades by word overlap, and has every fault that judges have.

As a process: ``python tests/support/judge_server.py PORT [MODE]``.
"""

import itertools
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from http_server import serve_http

HIGH = {"rubric": 5, "hundred": 100}
MUTE = ("stall", "drip", "drip-headers", "close", "huge", "busy", "broken", "html", "no-choices")
"""Modes without a reply that can be used."""

GARBLED = ("wrong-json", "nan", "out-of-range", "duplicate", "no-score", "silence")
"""Modes with a reply that has no score in it."""

ODD = ("prose", "fenced", "string", "wrong-type", "newline", "thoughts", "float")
"""Modes with a score in an odd form."""

Choose = Callable[[Mapping[str, Any], random.Random], str]


@dataclass
class JudgeServer:
    """A judge with a mode for each request.

    Args:
        choose: The mode of a request, by its body.
        grade: The score of an answer in [0, 1], by reference and answer.
    """

    choose: Choose = lambda body, generator: "ok"
    grade: Callable[[str, str], float] = lambda reference, answer: overlap(reference, answer)
    retry_after: str = "0"
    drip_seconds: float = 0.02
    slow_seconds: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    port: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    generator: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> int:
        return len(self.bodies)

    @contextmanager
    def serving(self) -> "Iterator[JudgeServer]":
        """Serve it at a port of its own."""
        self.ended.clear()
        with serve_http(partial(_Handler, self)) as self.port:
            try:
                yield self
            finally:
                self.ended.set()


def always(mode: str) -> Choose:
    """The same mode for every request."""
    return lambda body, generator: mode


def sometimes(fraction: float, modes: tuple[str, ...]) -> Choose:
    """Each of the modes in turn, in a fraction of the requests, else a good reply."""
    turns = itertools.cycle(modes)
    return lambda body, random_: next(turns) if random_.random() < fraction else "ok"


def overlap(reference: str, answer: str) -> float:
    """The fraction of distinct words that two texts have in common."""
    wanted, given = set(reference.casefold().split()), set(answer.casefold().split())
    return len(wanted & given) / max(1, len(wanted | given))


def reply_to(server: JudgeServer, body: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict of a judge that does what it is asked."""
    text = body["messages"][0]["content"]
    found = re.search(r"<reference>\n(.*?)\n</reference>\n<answer>\n(.*)\n</answer>", text, re.S)
    if found:
        grade = server.grade(found.group(1), found.group(2))
        return {"rationale": "as the words show", "score": 1 + round(4 * grade)}
    found = re.search(r"correct output `(.*)`, score the model response `(.*)` on a", text, re.S)
    if found:
        return {"score": round(100 * server.grade(found.group(1), found.group(2)))}
    pattern = r"<reference>\n(.*)\n</reference>\n<answer A>\n(.*)\n</answer A>\n<answer B>\n(.*)\n<"
    found = re.search(pattern, text, re.S)
    assert found, text
    first, second = (server.grade(found.group(1), found.group(n)) for n in (2, 3))
    better = "tie" if first == second else "A" if first > second else "B"
    return {"rationale": "as the words show", "better": better}


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server: JudgeServer, *args: Any) -> None:
        self.judge = server
        super().__init__(*args)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        judge = self.judge
        judge.bodies.append(body)
        judge.headers.append(dict(self.headers))
        mode = judge.choose(body, judge.generator)
        judge.modes[mode] += 1
        if judge.slow_seconds:
            time.sleep(judge.slow_seconds)
        with suppress(OSError):  # the client has gone
            self._answer(mode, body)

    def do_GET(self) -> None:
        self.judge.headers.append(dict(self.headers))
        self._send(200, "{}")

    def _answer(self, mode: str, body: dict[str, Any]) -> None:
        form = body.get("response_format", {}).get("type", "plain")
        if form != "plain" and mode in ("refuse-forms", f"refuse-{form}"):
            self._send(400, _error("response_format is not supported"))
        elif mode == "stall":
            self.judge.ended.wait(30)
        elif mode in ("drip", "drip-headers", "close"):
            self._partly(mode, _completion(json.dumps(reply_to(self.judge, body))).encode())
        elif mode in ("refuse", "unauthorized", "redirect", "busy", "broken"):
            self._fail(mode)
        elif mode in _BODIES:
            self._send(200, _BODIES[mode]())
        else:
            kind = "text/plain" if mode == "wrong-type" else "application/json"
            self._send(200, _completion(_written(mode, reply_to(self.judge, body))), kind=kind)

    def _fail(self, mode: str) -> None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        elsewhere = f"http://127.0.0.1:{self.judge.port}/elsewhere"
        failures: dict[str, tuple[int, str, dict[str, str]]] = {
            "refuse": (400, "the prompt is longer than the context", {}),
            "unauthorized": (401, f"Incorrect API key provided: {key}", {}),
            "redirect": (307, "", {"Location": elsewhere}),
            "busy": (429, "too many requests", {"Retry-After": self.judge.retry_after}),
            "broken": (500, "internal error", {}),
        }
        status, message, headers = failures[mode]
        self._send(status, _error(message), **headers)

    def _partly(self, mode: str, content: bytes) -> None:
        """Send a byte at a time, or only the first half."""
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        if mode == "close":
            self.wfile.write(head + content[: len(content) // 2])
            self.close_connection = True
            return
        if mode == "drip":
            self.wfile.write(head)
            head = b""
        for byte in head + content:
            if self.judge.ended.wait(self.judge.drip_seconds):
                return
            self.wfile.write(bytes([byte]))

    def _send(
        self, status: int, content: str, kind: str = "application/json", **headers: str
    ) -> None:
        encoded = content.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": kind, "Content-Length": str(len(encoded)), **headers
        }.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *args: object) -> None:
        pass


def _written(mode: str, reply: dict[str, Any]) -> str:
    """A verdict as a judge in that mode writes it."""
    good = json.dumps(reply)
    if "score" not in reply:  # a comparison
        return {"prose": f"The better is {reply['better']}."}.get(mode, good)
    score = reply["score"]
    return {
        "prose": f"The answer is fine in 2 of 3 points. I would give it a score of {score}.",
        "fenced": f"Here you are:\n```json\n{good}\n```\nThank you.",
        "string": json.dumps({**reply, "score": str(score)}),
        "newline": f'{{"rationale": "two\nlines", "score": {score}}}',
        "thoughts": f'<think>The score could be 3.</think>\n{{"score": {score}}}',
        "float": f'{{"score": {score}.0}}',
        "wrong-json": '{"verdict": "good"}',
        "nan": '{"score": NaN}',
        "out-of-range": '{"score": 850}',
        "duplicate": f'{{"score": 1, "score": {score}}}',
        "no-score": "It is a good answer that was written in 1998.",
        "silence": "",
    }.get(mode, good)


def _completion(text: str) -> str:
    usage = {"prompt_tokens": 100, "completion_tokens": 20}
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"message": message}], "usage": usage})


def _error(message: str) -> str:
    return json.dumps({"error": {"message": message}})


_BODIES: dict[str, Callable[[], str]] = {
    "huge": lambda: _completion("x" * 10_000_000),
    "html": lambda: "<html><body>Please log in</body></html>",
    "no-choices": lambda: "{}",
}
"""The bodies of responses that are no chat completion, or too long."""


def main() -> None:
    """Serve until the process is ended."""
    port, *modes = sys.argv[1:]
    judge = JudgeServer(choose=always(modes[0]) if modes else always("ok"))
    if modes and modes[0] == "faults":
        judge.choose = sometimes(0.3, (*MUTE, *GARBLED, *ODD, "refuse-json_schema"))
    judge.port = int(port)
    with ThreadingHTTPServer(("127.0.0.1", judge.port), partial(_Handler, judge)) as server:
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
