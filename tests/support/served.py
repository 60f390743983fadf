"""Servers of small models for tests, at ports of their own, each in a thread."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription
from gpt_core.checkpoints import write_checkpoint as write_files
from gpt_core.config import GPTConfig
from gpt_core.models import GPTClassifier, build_model, save_weights
from gpt_core.serving.models import given_checkpoint
from gpt_core.serving.server import Server
from gpt_core.serving.settings import ServingConfig
from gpt_core.tokenizers import ByteTokenizer

LABELS = ("ham", "spam")
_KINDS: dict[str, dict[str, Any]] = {
    "pretrained": {},
    "instruction": {"template": "short"},
    "classifier": {"labels": LABELS, "max_tokens": 64},
}


@dataclass(frozen=True)
class Reply:
    """A response: its status, headers and content."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> str:
        """The sentence of an error, whose shape is checked."""
        (error,) = self.json.values()
        assert set(error) == {"message", "type", "param", "code"}
        return str(error["message"])


def byte_checkpoint(
    directory: Path, kind: str, *, seed: int = 5, context_length: int = 256
) -> Artifact:
    """A checkpoint of some kind that reads bytes, with random weights."""
    shape = GPTConfig(n_layer=2, n_head=2, n_embd=32, context_length=context_length, vocab_size=257)
    model = build_model(shape, seed=seed)
    network = GPTClassifier(model, len(LABELS)) if kind == "classifier" else model
    with new_artifact(directory, kind="checkpoint") as draft:
        write_files(
            draft,
            CheckpointDescription(kind=kind, step=0, model=shape, **_KINDS[kind]),  # type: ignore[arg-type]
            save_weights=partial(save_weights, network),
            save_tokenizer=ByteTokenizer().save,
        )
    return draft.artifact


@contextmanager
def serving(
    checkpoints: Sequence[Path], key: str | None = None, **settings: Any
) -> Iterator[Server]:
    """Serve checkpoints at a free port during the block, each under its directory's name."""
    given = [given_checkpoint(path) for path in checkpoints]
    server = Server(given, ServingConfig(port=0, **settings), key)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(60)
        yield server
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


def ask(url: str, body: object = None, **headers: str) -> Reply:
    """Post a value as JSON, or bytes as they are; without a body, get."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, content, {**kind, **named})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Reply(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, dict(error.headers), error.read())


def events(content: bytes) -> list[Any]:
    """The values of a stream of events, which ends with [DONE] if it was complete."""
    parts = content.decode().removesuffix("\n\n").split("\n\n")
    assert all(part.startswith("data: ") for part in parts)
    texts = [part.removeprefix("data: ") for part in parts]
    if texts[-1] == "[DONE]":
        return [json.loads(text) for text in texts[:-1]]
    return [json.loads(text) for text in texts]


def within(seconds: float, what: Callable[[], bool]) -> bool:
    """Whether something comes to pass in time."""
    import time

    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
