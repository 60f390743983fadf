"""The command line in processes of its own, with a home folder of its own and small text."""

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from several import SEVERAL

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
    "instruction.too_long=cut",  # no answer fits completely into 64 tokens
    "instruction.max_new_tokens=4",
)

BUSY = 503  # another writer has locked the server's database; its own client asks again too


def open_when_free(request: urllib.request.Request) -> bytes:
    """Open an address of a server, again while its database is locked, for half a minute."""
    until = time.monotonic() + 30.0
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != BUSY or time.monotonic() > until:
                raise
        time.sleep(0.5)


@dataclass(frozen=True)
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    def user_error(self) -> str:
        """The one-line message of a user's mistake."""
        assert self.code == 2, self.out + self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("gptflow: ")
        return lines[0]


@dataclass(frozen=True)
class CommandLine:
    """The command line, with a home folder of its own."""

    home: Path
    root: Path

    def environment(self) -> dict[str, str]:
        """Environment variables of a command, without those of this process's own servers."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        return {**own, "GPTFLOW_HOME": str(self.home), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}

    def run(self, *arguments: str) -> Result:
        """Run a command in a process of its own."""
        return self._run([sys.executable, "-m", "flows", *arguments])

    def start(self, *arguments: str, output: Path | None = None) -> "subprocess.Popen[bytes]":
        """Start a command in a process group of its own, without waiting for it."""
        with (output or Path(os.devnull)).open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "flows", *arguments], cwd=self.root, env=self.environment(),
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run_several(
        self, commands: Sequence[Sequence[str]], variables: Sequence[Mapping[str, str]] = ()
    ) -> list[Result]:
        """Run several commands one after the other in one process, each with its variables."""
        pairs = list(zip(variables or [{}] * len(commands), commands, strict=True))
        result = self._run([sys.executable, "-c", SEVERAL], json.dumps(pairs))
        assert result.code == 0, result.err
        return [Result(*each) for each in json.loads(result.out)]

    def answers_other_than(
        self, mistakes: Sequence[tuple[Sequence[str], str]]
    ) -> list[tuple[Sequence[str], str]]:
        """The commands, with their messages, that are not refused as a pattern says."""
        results = self.run_several([arguments for arguments, _ in mistakes])
        return [
            (arguments, message)
            for result, (arguments, pattern) in zip(results, mistakes, strict=True)
            if not re.search(pattern, message := result.user_error())
        ]

    def run_script(self, script: str) -> Result:
        """Run a Python script."""
        return self._run([sys.executable, "-c", script])

    def mlflow_client(self) -> MlflowClient:
        """A client of this home's MLflow store."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from the database library of MLflow
            return MlflowClient(f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}")

    def ask_prefect(self, what: str, question: dict[str, object]) -> list[dict[str, Any]]:
        """Query the Prefect server that this home started, such as for ``flow_runs``."""
        rows: list[dict[str, Any]] = self.call_prefect(f"{what}/filter", question)
        return rows

    def call_prefect(self, path: str, body: object = None, method: str = "") -> Any:
        """Call the Prefect server that this home started; a body is posted if no method is given.

        Raises:
            urllib.error.HTTPError: If the server refuses.
        """
        folder = self.home / ".prefect"
        url = json.loads((folder / "server.json").read_text("utf-8"))["url"]
        token = base64.b64encode((folder / "password").read_bytes()).decode()
        request = urllib.request.Request(
            f"{url}/{path}",
            None if body is None else json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Basic {token}"},
            method=method or None,
        )
        text = open_when_free(request)
        return json.loads(text) if text else None

    def partial_files(self) -> list[Path]:
        """Unfinished files, which a failed stage should not leave."""
        return [p for p in self.home.rglob("*") if p.suffix in (".part", ".old")]

    def _run(self, command: list[str], sent: str = "") -> Result:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment(), input=sent,
            capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cli(tmp_path: Path, project_root: Path) -> Iterator[CommandLine]:
    """A command line whose home folder does not exist yet."""
    cli = CommandLine(tmp_path / "home", project_root)
    yield cli
    if (cli.home / ".prefect").is_dir():
        cli.run("down")


@pytest.fixture(scope="module")
def module_cli(
    tmp_path_factory: pytest.TempPathFactory, project_root: Path
) -> Iterator[CommandLine]:
    """A command line that keeps its servers and artifacts for the tests of one file."""
    cli = CommandLine(tmp_path_factory.mktemp("own"), project_root)
    yield cli
    cli.run("down")


@pytest.fixture(scope="session")
def second_cli(
    tmp_path_factory: pytest.TempPathFactory, project_root: Path
) -> Iterator[CommandLine]:
    """Like ``shared_cli``, for tests that would compute what others expect to compute."""
    cli = CommandLine(tmp_path_factory.mktemp("second_cli"), project_root)
    yield cli
    cli.run("down")


@pytest.fixture(scope="session")
def shared_cli(
    tmp_path_factory: pytest.TempPathFactory, project_root: Path
) -> Iterator[CommandLine]:
    """A command line that keeps its servers and artifacts for all tests."""
    cli = CommandLine(tmp_path_factory.mktemp("shared_cli"), project_root)
    yield cli
    cli.run("down")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> list[str]:
    """Settings of a run of seconds on small parts of the samples."""
    folder = tmp_path_factory.mktemp("sources")
    samples = project_root / "data" / "samples"
    text = [(samples / "text" / f"{name}.txt").read_text("utf-8") for name in ("english", "arabic")]
    (folder / "text.txt").write_text("\n\n".join(part[:30_000] for part in text), "utf-8")
    messages = (samples / "messages.tsv").read_text("utf-8").splitlines(keepends=True)
    (folder / "messages.tsv").write_text("".join(messages[:121]), "utf-8")
    words = [f"{number} {word}" for number in range(20) for word in ("lamp", "key", "map")]
    tasks = [{"instruction": "Repeat it.", "input": each, "output": each} for each in words]
    (folder / "instructions.json").write_text(json.dumps(tasks), "utf-8")
    return [
        *SMALL,
        f"source={folder / 'text.txt'}",
        f"classification.source={folder / 'messages.tsv'}",
        f"instruction.source={folder / 'instructions.json'}",
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for flows that are planned in this process."""
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / ".prefect"))
    return tmp_path


@pytest.fixture
def planned(home: Path) -> Callable[..., list[str]]:
    """Plans a flow in an empty home; gives the names of its stages in their order."""
    from flows.declarations import FLOWS
    from flows.plan import plan_stages
    from gpt_core.config import load_config

    def plan(name: str, *settings: str) -> list[str]:
        return [stage.name for stage in plan_stages(FLOWS[name], load_config(settings=settings))]

    return plan


@pytest.fixture
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a checkpoint that a plan refers to but does not open."""
    from gpt_core.artifact import new_artifact

    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    with new_artifact(folder, kind="checkpoint"):
        pass
    return str(folder)


@pytest.fixture
def connected(prefect_api: str) -> Iterator[str]:
    """Prefect's client in this process asks the server that the tests share."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    password = os.environ["PREFECT_API_AUTH_STRING"]
    with temporary_settings({PREFECT_API_URL: prefect_api, PREFECT_API_AUTH_STRING: password}):
        yield prefect_api
