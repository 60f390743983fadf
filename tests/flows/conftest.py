"""The front door as people use it: processes, a folder of its own, small text."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

SMALL = (
    "name=small",
    "tokenizer.vocab_size=400",
    "shards.workers=1",
    "model.n_layer=1",
    "model.n_head=2",
    "model.n_embd=32",
    "model.context_length=64",
    "schedule.warmup_steps=2",
    "training.steps=12",
    "training.tokens_per_step=512",
    "training.micro_batch=8",
    "training.log_every=4",
    "training.eval_every=6",
    "training.eval_tokens=1024",
    "training.sample_every=6",
    "training.save_every=6",
    "evaluation.max_tokens=1024",
    "generation.max_new_tokens=8",
    "classification.epochs=1",
    "classification.max_tokens=16",
    "instruction.epochs=1",
    "instruction.max_new_tokens=4",
)

SEVERAL = """
import contextlib, io, json, sys
from flows.__main__ import main
answers = []
for arguments in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["gptflow", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    answers.append([code or 0, out.getvalue(), err.getvalue()])
json.dump(answers, sys.stdout)
"""
"""Several commands in one process, for what they import takes longer than what they do."""


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    def mistake(self) -> str:
        """The one sentence of a user's mistake."""
        assert self.code == 2, self.out + self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("gptflow: ")
        return lines[0]


@dataclass(frozen=True)
class Door:
    """The command line, working in a folder of its own."""

    home: Path
    root: Path

    def environment(self) -> dict[str, str]:
        """The surroundings of a command; nothing of this process's own servers."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        return {**own, "GPTFLOW_HOME": str(self.home), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}

    def run(self, *arguments: str) -> Answer:
        """One command in a process of its own."""
        return self._answer([sys.executable, "-m", "flows", *arguments])

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """One command that is not waited for, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows", *arguments], cwd=self.root, env=self.environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def run_several(self, commands: Sequence[Sequence[str]]) -> list[Answer]:
        """Several commands, one after the other in one process."""
        answer = self._answer([sys.executable, "-c", SEVERAL], json.dumps(commands))
        assert answer.code == 0, answer.err
        return [Answer(*each) for each in json.loads(answer.out)]

    def python(self, script: str) -> Answer:
        """A script."""
        return self._answer([sys.executable, "-c", script])

    def records(self) -> MlflowClient:
        """What MLflow has of this folder's runs."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own, of its database library
            return MlflowClient(f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}")

    def half_written(self) -> list[Path]:
        """What a stage that failed should not have left."""
        return [p for p in self.home.rglob("*") if p.suffix in (".part", ".old")]

    def _answer(self, command: list[str], sent: str = "") -> Answer:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment(), input=sent,
            capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def door(tmp_path: Path, project_root: Path) -> Iterator[Door]:
    """A door to an empty folder that is not there yet."""
    opened = Door(tmp_path / "home", project_root)
    yield opened
    if (opened.home / ".prefect").is_dir():
        opened.run("down")


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Door]:
    """A door that keeps its servers and artifacts for the tests of one file."""
    opened = Door(tmp_path_factory.mktemp("own"), project_root)
    yield opened
    opened.run("down")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Door]:
    """A second door like ``house``, for tests that would make what others expect to make."""
    opened = Door(tmp_path_factory.mktemp("workshop"), project_root)
    yield opened
    opened.run("down")


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Door]:
    """A door that keeps its servers and artifacts for all tests."""
    opened = Door(tmp_path_factory.mktemp("house"), project_root)
    yield opened
    opened.run("down")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> list[str]:
    """Settings of a run that takes seconds, on small cuts of the samples."""
    folder = tmp_path_factory.mktemp("sources")
    samples = project_root / "data" / "samples"
    text = [(samples / "text" / f"{name}.txt").read_text("utf-8") for name in ("english", "arabic")]
    (folder / "text.txt").write_text("\n\n".join(part[:30_000] for part in text), "utf-8")
    messages = (samples / "messages.tsv").read_text("utf-8").splitlines(keepends=True)
    (folder / "messages.tsv").write_text("".join(messages[:121]), "utf-8")
    examples = json.loads((samples / "instructions.json").read_text("utf-8"))
    short = [e for e in examples if len(e["instruction"] + e["input"]) < 60]
    (folder / "instructions.json").write_text(json.dumps(short[:60]), "utf-8")
    return [
        *SMALL,
        f"source={folder / 'text.txt'}",
        f"classification.source={folder / 'messages.tsv'}",
        f"instruction.source={folder / 'instructions.json'}",
    ]
