"""A training command that is asked to stop saves a checkpoint; the same command continues."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact, read_artifact

SETTINGS = (
    "model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.context_length=32",
    "model.dropout=0.1", "training.tokens_per_step=256", "training.micro_batch=8",
    "training.save_every=20", "training.eval_every=20", "training.log_every=10",
    "training.sample_every=40", "training.steps=40", "schedule.warmup_steps=5",
    "training.eval_tokens=2048", "generation.max_new_tokens=60",
)  # fmt: skip


def command(shards: Artifact, out: Path) -> str:
    arguments = ["train", "--shards", shards.path, "--out", str(out), *SETTINGS]
    return f"from gpt_core.__main__ import main\nraise SystemExit(main({arguments!r}))"


def stop(child: Any, number: signal.Signals, line: str) -> int:
    """Send a process a signal when it has printed a line; return its exit code."""
    until = time.monotonic() + 120
    while not child.output.is_file() or line not in child.text():
        assert time.monotonic() < until, "the line was not printed"
        time.sleep(0.001)
    child.send(number)
    code: int = child.wait()
    return code


def fingerprints(out: Path) -> dict[str, str]:
    return {path.name: read_artifact(path, "checkpoint").fingerprint for path in out.glob("step-*")}


@pytest.fixture(scope="module")
def whole(
    forks: Any, sample_shards: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    out = tmp_path_factory.mktemp("whole") / "run"
    code, text = forks.run(command(sample_shards, out))
    assert code == 0, text
    return fingerprints(out)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
@pytest.mark.parametrize("line", ["step 10 of", "step 40 of"], ids=["middle", "last step"])
def test_the_command_saves_ends_with_the_signals_code_and_continues_to_the_same_bits(
    forks: Any, sample_shards: Artifact, whole: dict[str, str], tmp_path: Path,
    number: signal.Signals, code: int, line: str,
) -> None:  # fmt: skip
    out = tmp_path / "run"
    assert stop(forks.start(command(sample_shards, out)), number, line) == code
    saved = fingerprints(out)
    assert saved, "a checkpoint was saved"
    if line == "step 40 of":
        assert saved == whole
    again, text = forks.run(command(sample_shards, out))
    assert again == 0, text
    remaining = fingerprints(out)
    assert {name: remaining[name] for name in whole} == whole
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
