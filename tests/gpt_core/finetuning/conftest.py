"""A small checkpoint, and tables to fine-tune it on."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo
from gpt_core.config import GPTConfig
from gpt_core.models import build_model
from gpt_core.text import register_source


class Recorder(Callback):
    """Records the events of a run."""

    def __init__(self) -> None:
        self.runs: list[RunInfo] = []
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.samples: list[tuple[str, str]] = []
        self.notices: list[str] = []
        self.ends: list[int] = []

    def on_start(self, run: RunInfo) -> None:
        self.runs.append(run)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.metrics.append((step, dict(metrics)))

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self.samples.append((prompt, text))

    def on_notice(self, message: str) -> None:
        self.notices.append(message)

    def on_end(self, step: int) -> None:
        self.ends.append(step)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def checkpoint(byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]) -> Artifact:
    """Two blocks, 64 bytes of context, weights as they were drawn."""
    shape = GPTConfig(n_layer=2, n_head=2, n_embd=32, vocab_size=257, context_length=64)
    return write_checkpoint(build_model(shape, seed=11), byte_tokenizer)


@pytest.fixture(scope="session")
def register(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Artifact]:
    """Registers a file with some content."""

    def register_content(name: str, content: str) -> Artifact:
        folder = tmp_path_factory.mktemp("source")
        (folder / name).write_text(content, encoding="utf-8")
        return register_source(folder / name, folder / "raw")

    return register_content


@pytest.fixture(scope="session")
def messages(register: Callable[[str, str], Artifact]) -> Artifact:
    """Two hundred messages; one word tells which of them are spam."""
    rng = random.Random(5)
    words = ["sun", "tea", "book", "road", "home", "rain", "milk", "song", "tree", "lamp"]

    def line(label: str, word: str) -> str:
        text = rng.choices(words, k=rng.randint(2, 6))
        text.insert(rng.randint(0, len(text)), word)
        return f"{label}\t{' '.join(text)}"

    lines = [line(*rng.choice([("spam", "PRIZE"), ("ham", "later")])) for _ in range(200)]
    return register("messages.tsv", "\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def instructions(register: Callable[[str, str], Artifact]) -> Artifact:
    """A hundred tasks of two kinds, with and without an input."""
    return register("instructions.json", json.dumps([*_tasks(100)]))


def _tasks(n: int) -> Sequence[dict[str, str]]:
    rng = random.Random(3)
    tasks = []
    for i in range(n):
        word = "".join(rng.choices("abcd", k=3))
        if i % 2:
            tasks.append({"instruction": "Shout.", "input": word, "output": word.upper()})
        else:
            tasks.append({"instruction": f"Say {word}.", "input": "", "output": word})
    return tasks


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    return tmp_path / "finetuned"
