"""A sharded run on two processes that is killed, out of space and stopped ends with the same bytes.

It is launched as the flows launch it, by ``tasks.launch``.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gpt_core.artifact import Artifact, read_artifact, verify
from gpt_core.checkpoints import list_steps
from gpt_core.files import sha256_file

SETTINGS = (
    "launch.processes=2", "launch.strategy=fsdp", "compute.device=cpu", "compute.precision=fp32",
    "model.n_layer=2", "model.n_head=2", "model.n_embd=32", "model.context_length=32",
    "model.dropout=0.1", "model.vocab_size=257", "training.steps=24",
    "training.tokens_per_step=512", "training.micro_batch=4", "training.save_every=8",
    "training.eval_every=8", "training.log_every=1", "training.sample_every=24",
    "training.keep_last=9", "training.eval_tokens=512", "schedule.warmup_steps=4",
    "generation.max_new_tokens=8",
)  # fmt: skip

LAUNCH = """
import sys
from functools import partial
from pathlib import Path
from gpt_core.artifact import read_artifact
from gpt_core.callbacks import ProgressLines
from gpt_core.config import load_config
from gpt_core.errors import GPTCoreError
from gpt_core.signals import exit_on_sigterm
from tasks.launch import train
shards, out, *settings = sys.argv[1:]
config = load_config("tiny", settings=settings)
lines = ProgressLines(partial(print, flush=True))
try:
    with exit_on_sigterm():
        train(read_artifact(Path(shards)), config.pretrain, Path(out), config.launch, [lines])
except GPTCoreError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""

LEFT = 100_000  # bytes free on a full disk: a process's shard of the optimizer's state is larger
SECONDS = 300.0  # for one run, on a busy machine

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(sample_shards: Artifact, project_root: Path) -> Start:
    """Launches a run into a directory."""

    def launched(out: Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", LAUNCH, sample_shards.path, str(out), *SETTINGS],
            cwd=project_root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        )  # fmt: skip

    return launched


def finish(process: "subprocess.Popen[str]") -> str:
    """Wait for a run that must end well."""
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    return said


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout is not None
    until = time.monotonic() + SECONDS
    for line in process.stdout:
        assert time.monotonic() < until
        if text in line:
            return
    raise AssertionError(f"{text} was not printed: {process.communicate()[1]}")


def kill_all(process: "subprocess.Popen[str]") -> None:
    """Kill a run with its processes, before one can notice the end of another."""
    everything = [*psutil.Process(process.pid).children(recursive=True), process]
    for each in everything:
        os.kill(each.pid, signal.SIGSTOP)
    for each in everything:
        os.kill(each.pid, signal.SIGKILL)
    process.communicate()


def content(out: Path) -> dict[str, str]:
    """The hash of each file of each checkpoint, and each one's fingerprint."""
    found = {}
    for step in list_steps(out):
        artifact = read_artifact(step, "checkpoint")
        verify(artifact)
        found[step.name] = artifact.fingerprint
        files = (path for path in step.rglob("*") if path.is_file())
        names = (path for path in files if path.name != "manifest.json")
        found |= {path.relative_to(out).as_posix(): sha256_file(path) for path in names}
    return found


@pytest.mark.long
@pytest.mark.soak
def test_shards_have_the_same_bytes_after_a_kill_a_full_disk_and_sigterm_in_the_last_step(
    start: Start,
    tmp_path: Path,
    small_disk: Callable[[int], Path],
    count: Callable[[str, int], None],
) -> None:
    whole, out = tmp_path / "whole", small_disk(1 << 30) / "out"
    finish(start(whole))
    expected = content(whole)
    assert any("state" in name and name.endswith(".safetensors") for name in expected)

    killed = start(out)
    wait_for_line(killed, "step 12 of 24")
    kill_all(killed)
    kept = content(out)
    assert {name: expected[name] for name in kept} == kept
    assert "step-00000008" in kept

    small_disk(shutil.disk_usage(out).used + LEFT)
    full = start(out)
    _, said = full.communicate(timeout=SECONDS)
    assert full.returncode == 2, said
    assert len(said.splitlines()) == 1, said
    assert "cannot be written" in said
    assert content(out).items() >= kept.items()

    small_disk(1 << 30)
    stopped = start(out)
    wait_for_line(stopped, "step 24 of 24")
    stopped.send_signal(signal.SIGTERM)
    stopped.communicate(timeout=SECONDS)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert content(out) == expected

    finish(start(out))
    assert content(out) == expected
    assert list(out.rglob(".*")) == []
    count("runs of two processes that were killed, out of space or stopped: the same bytes", 3)
