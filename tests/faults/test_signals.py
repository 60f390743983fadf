"""A training command that is asked to stop saves a checkpoint; the same command continues."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, read_artifact

SETTINGS = (
    "model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.context_length=32",
    "model.dropout=0.1", "training.tokens_per_step=256", "training.micro_batch=8",
    "training.save_every=20", "training.eval_every=20", "training.log_every=10",
    "training.sample_every=40", "training.steps=40", "schedule.warmup_steps=5",
    "training.eval_tokens=2048", "generation.max_new_tokens=60",
)  # fmt: skip


def start(shards: Artifact, out: Path) -> "subprocess.Popen[str]":
    command = ["-m", "gpt_core", "train", "--shards", shards.path, "--out", str(out), *SETTINGS]
    return subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def stop(shards: Artifact, out: Path, number: signal.Signals, line: str) -> int:
    """Start a run and send it a signal when it has printed a line; return its exit code."""
    process = start(shards, out)
    assert process.stdout is not None
    for each in process.stdout:
        if each.startswith(line):
            process.send_signal(number)
    return process.wait()


def fingerprints(out: Path) -> dict[str, str]:
    return {path.name: read_artifact(path, "checkpoint").fingerprint for path in out.glob("step-*")}


@pytest.fixture(scope="module")
def whole(
    sample_shards: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], dict[str, str]]:
    out = tmp_path_factory.mktemp("whole") / "run"
    process = start(sample_shards, out)
    process.communicate()
    assert process.returncode == 0
    return lambda: fingerprints(out)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
@pytest.mark.parametrize("line", ["step 10 of", "step 40 of"], ids=["middle", "last step"])
def test_the_command_saves_ends_with_the_signals_code_and_continues_to_the_same_bits(
    sample_shards: Artifact, whole: Callable[[], dict[str, str]], tmp_path: Path,
    number: signal.Signals, code: int, line: str,
) -> None:  # fmt: skip
    out = tmp_path / "run"
    assert stop(sample_shards, out, number, line) == code
    saved = fingerprints(out)
    assert saved, "a checkpoint was saved"
    if line == "step 40 of":
        assert saved == whole()
    again = start(sample_shards, out)
    output, _ = again.communicate()
    assert again.returncode == 0
    assert output.strip()
    remaining = fingerprints(out)
    assert {name: remaining[name] for name in whole()} == whole()
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
