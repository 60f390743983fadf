"""Out-of-memory and missing-compiler errors become advice; other errors are raised as they are."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.errors import ConfigError
from gpt_core.training.failures import explain_failures

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (MemoryError(), "set training.micro_batch=2 "),
        (torch.OutOfMemoryError("CUDA out of memory"), "compute.recompute=true"),
        (RuntimeError("[enforce fail] can't allocate memory: tried"), "compute.fit_memory=true"),
        (RuntimeError("No working C++ compiler found"), "set compute.compile=off"),
    ],
)
def test_an_error_that_the_user_can_fix_becomes_advice(
    config_of, error: Exception, advice: str
) -> None:
    with pytest.raises(ConfigError) as caught, explain_failures(config_of(), CPU):
        raise error
    assert advice in str(caught.value)
    assert caught.value.__cause__ is error


def test_another_error_is_raised_as_it_is(config_of) -> None:
    with pytest.raises(RuntimeError, match="our own mistake"), explain_failures(config_of(), CPU):
        raise RuntimeError("our own mistake")


def test_too_little_memory_is_one_sentence_with_advice(shards: Artifact, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "gpt_core", "train", "--shards", shards.path,
        "--out", str(tmp_path / "out"), "model.n_layer=1", "model.n_head=1", "model.n_embd=64",
        "model.context_length=32", "training.micro_batch=600000",
        "training.tokens_per_step=19200000", "training.steps=200",
    ]  # fmt: skip
    limit = 5 << 30
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "does not hold training.micro_batch=600000 samples of 32 tokens" in done.stderr
    assert "set training.micro_batch=300000" in done.stderr
