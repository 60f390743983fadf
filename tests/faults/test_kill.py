"""A run killed at random times keeps what was saved and ends with the same bits."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact
from gpt_core.callbacks import read_records
from gpt_core.training import latest_checkpoint

SETTINGS = [
    "model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.context_length=32",
    "model.dropout=0.1", "training.tokens_per_step=256",
    "training.micro_batch=8", "training.save_every=7", "training.eval_every=15",
    "training.log_every=5", "training.sample_every=40", "schedule.warmup_steps=5",
]  # fmt: skip
STEPS_PER_KILL = 100
MAX_LIFETIME = 4.0  # seconds, half of which a process needs to start


def train(shards: Artifact, out: Path, steps: int) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "gpt_core",
        "train",
        "--shards",
        shards.path,
        "--out",
        str(out),
    ]
    settings = [*SETTINGS, f"training.steps={steps}"]
    return subprocess.Popen([*command, *settings], stdout=subprocess.DEVNULL)


def result(out: Path, steps: int) -> tuple[bytes, list[dict[str, float]]]:
    checkpoint, notices = latest_checkpoint(out)
    assert checkpoint is not None
    assert notices == []
    assert checkpoint.manifest().info_int("step") == steps
    rows = read_records(out / "metrics.jsonl")
    timeless = [{k: v for k, v in row.items() if k != "train/tokens_per_second"} for row in rows]
    return (checkpoint.directory / "model.safetensors").read_bytes(), timeless


@pytest.mark.long
def test_a_run_killed_repeatedly_ends_with_the_bits_of_an_uninterrupted_one(
    sample_shards: Artifact, tmp_path: Path, kills: int, count: Callable[[str, int], None]
) -> None:
    whole, killed, steps = tmp_path / "whole", tmp_path / "killed", STEPS_PER_KILL * kills
    assert train(sample_shards, whole, steps).wait() == 0
    rng = random.Random()
    hits = 0
    while hits < kills and not is_ended(killed, steps):
        process = train(sample_shards, killed, steps)
        time.sleep(rng.uniform(0.0, MAX_LIFETIME))
        hits += process.poll() is None
        process.kill()
        process.wait()
    assert hits, "the run ended before it was killed"
    assert train(sample_shards, killed, steps).wait() == 0
    assert result(killed, steps) == result(whole, steps)
    count("kills, the same bytes after each", hits)


def is_ended(out: Path, steps: int) -> bool:
    return (out / f"step-{steps:08d}" / "manifest.json").is_file()
