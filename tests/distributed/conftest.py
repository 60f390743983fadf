"""Training runs on the sample text in any number of processes."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact

SETTINGS = [
    "model.n_layer=2", "model.n_head=2", "model.n_embd=32", "model.context_length=32",
    "training.steps=24", "training.tokens_per_step=512", "training.micro_batch=4",
    "training.save_every=8", "training.eval_every=8", "training.log_every=1",
    "training.sample_every=24", "compute.precision=fp32", "training.keep_last=9",
    "training.eval_tokens=5000", "schedule.warmup_steps=4", "generation.max_new_tokens=8",
]  # fmt: skip

Run = Callable[..., Path]


@pytest.fixture(scope="session")
def run(sample_shards: Artifact, project_root: Path) -> Run:
    """Trains with ``python -m gpt_core train``, under torchrun if there are several processes."""

    def trained(out: Path, *settings: str, processes: int = 1, nodes: int = 1) -> Path:
        launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
        launcher += meeting_point(nodes) if nodes > 1 else ["--standalone"]
        command = [
            sys.executable, *(launcher if processes * nodes > 1 else []), "-m", "gpt_core", "train",
            "--shards", sample_shards.path, "--out", str(out), *SETTINGS, *settings,
        ]  # fmt: skip
        agents = [start(command, project_root) for _ in range(nodes)]
        answers = [agent.communicate() for agent in agents]
        assert [agent.returncode for agent in agents] == [0] * nodes, answers
        said = "".join(answer[0] for answer in answers)
        assert str(out / "step-00000024\n") in said
        assert said.count("24 of 24, loss") == 1, "only rank 0 prints"
        return out

    return trained


def start(command: list[str], folder: Path) -> "subprocess.Popen[str]":
    """Start a command whose threads do not spin: they would block those of other processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def meeting_point(nodes: int) -> list[str]:
    """The options of torchrun for agents that meet on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = f"--rdzv-endpoint=127.0.0.1:{port}"
    return [f"--nnodes={nodes}", "--rdzv-backend=c10d", where, f"--rdzv-id={port}"]
