"""A process killed at any instant loses nothing that was saved, and ends with the same bits."""

import random
import subprocess
import sys
import time
from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, ReadingConfig, ShardConfig, TokenizerConfig
from gpt_core.data import encode_corpus
from gpt_core.text import clean_corpus, register_source
from gpt_core.tokenizers import train_tokenizer
from gpt_core.training import latest_checkpoint, read_records

SETTINGS = [
    "model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.context_length=32",
    "model.dropout=0.1", "training.steps=120", "training.tokens_per_step=256",
    "training.micro_batch=8", "training.save_every=7", "training.eval_every=15",
    "training.log_every=5", "training.sample_every=40", "schedule.warmup_steps=5",
]  # fmt: skip
KILLS = 4


def train(shards: Artifact, out: Path) -> "subprocess.Popen[bytes]":
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
    return subprocess.Popen([*command, *SETTINGS], stdout=subprocess.DEVNULL)


def result(out: Path) -> tuple[bytes, list[dict[str, float]]]:
    checkpoint, notices = latest_checkpoint(out)
    assert checkpoint is not None
    assert notices == []
    assert checkpoint.manifest()["info"]["step"] == 120
    rows = read_records(out / "metrics.jsonl")
    timeless = [{k: v for k, v in row.items() if k != "train/tokens_per_second"} for row in rows]
    return (checkpoint.directory / "model.safetensors").read_bytes(), timeless


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    project_root: Path, tmp_path: Path
) -> None:
    text = project_root / "data" / "samples" / "text" / "english.txt"
    raw = register_source(text, tmp_path / "raw")
    corpus = clean_corpus(raw, ReadingConfig(), CleaningConfig(), tmp_path / "corpus")
    byte = TokenizerConfig(kind="byte", vocab_size=None)
    tokenizer = train_tokenizer(corpus, byte, tmp_path / "tokenizer")
    shards = encode_corpus(corpus, tokenizer, ShardConfig(workers=1), tmp_path / "shards")
    assert train(shards, tmp_path / "whole").wait() == 0
    draw = random.Random()
    killed = tmp_path / "killed"
    for _ in range(KILLS):
        process = train(shards, killed)
        until = time.monotonic() + 60
        while not (killed / "metrics.jsonl").is_file() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(draw.uniform(0.0, 3.0))
        process.kill()
        process.wait()
    assert train(shards, killed).wait() == 0
    assert result(killed) == result(tmp_path / "whole")
