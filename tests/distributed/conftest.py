"""Training runs on the sample text in any number of processes."""

import os
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

    def trained(out: Path, *settings: str, processes: int = 1) -> Path:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [
            sys.executable, *(launcher if processes > 1 else []), "-m", "gpt_core", "train",
            "--shards", sample_shards.path, "--out", str(out), *SETTINGS, *settings,
        ]  # fmt: skip
        # Spinning threads of two processes would block each other on two cores.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(
            command, cwd=project_root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(str(out / "step-00000024\n")) >= 1
        assert done.stdout.count("24 of 24, loss") == 1, "only rank 0 prints"
        return out

    return trained
