"""Validation loss of a trained model with int8 weights, and the memory that each kind takes.

``python -m benchmarks.int8 CHECKPOINT SHARDS [--tokens 200000] [--memory DIR]``

The loss is that of the decoder that the engine uses, once with the weights as they are and once in
int8, on the same windows of the validation split. Memory is the anonymous resident memory of a
process that has loaded the model of ``--memory``, built an engine with a cache of 64 tokens and
answered one request, less that of the libraries.
"""

import argparse
import math
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.report import publish
from gpt_core.data import ShardReader
from gpt_core.data.loader import sequential_batches
from gpt_core.models import (
    GPT,
    Decoder,
    LinearKind,
    SlotCache,
    SlotStep,
    load_model,
    next_token_loss,
)

_KINDS: tuple[LinearKind, ...] = ("plain", "packed", "int8")
_WEIGH = """
import sys
from pathlib import Path
import torch
from gpt_core.generation.engine import Engine, run
from gpt_core.generation.requests import Request
from gpt_core.models import load_model
torch.set_num_threads(1)
torch.nn.Linear(64, 64)(torch.ones(1, 64))
def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
before = anonymous()
model, keep = load_model(Path(sys.argv[1])), sys.argv[3] == "1"
engine = Engine(model, n_slots=1, capacity=64, linears=sys.argv[2], keep_weights=keep)
list(run(engine, [Request(prompt=(1, 2, 3), max_new_tokens=8)]))
print((anonymous() - before) / 1024)
"""


def main() -> None:
    """Measure and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--memory", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = _losses(load_model(options.checkpoint), options.shards, options.tokens)
    if options.memory is not None:
        lines += [
            "",
            f"| {_name(options.memory)} | as well as the loaded weights, MiB | in place |",
        ]
        lines += ["|---|---|---|"]
        for kind in _KINDS:
            kept, dropped = (_mebibytes(options.memory, kind, keep) for keep in (True, False))
            lines.append(f"| {kind} | {kept:.0f} | {dropped:.0f} |")
    how = (
        f"{_name(options.checkpoint)} on {options.tokens:,} tokens of its validation split, one "
        "thread. *In place* is what `gptflow serve` does."
    )
    publish("Decoding with int8 weights", "int8", how, lines)


def _name(checkpoint: Path) -> str:
    plain = checkpoint.parent if checkpoint.name.startswith("step-") else checkpoint
    return plain.name


@torch.inference_mode()
def _losses(model: GPT, shards: Path, n_tokens: int) -> list[str]:
    """Rows of the table: the loss of each kind of weights."""
    rows, reader = [], ShardReader(shards, "validation")
    for kind in _KINDS:
        decoder, cache = Decoder(model, kind), SlotCache(model.config, n_slots=1)
        total, count = 0.0, 0
        for batch in sequential_batches(reader, model.config.context_length, 1, n_tokens):
            logits = decoder.logits(batch.token_ids, SlotStep(cache, 0, [0], cache.capacity))
            total += float(next_token_loss(logits, batch.targets, reduction="sum"))
            count += int((batch.targets >= 0).sum())
        rows.append((kind, total / count))
    base = rows[0][1]
    lines = ["| weights | loss, nats | more than fp32 | perplexity |", "|---|---|---|---|"]
    lines += [
        f"| {kind} | {loss:.5f} | {loss / base - 1:+.4%} | {math.exp(loss):.3f} |"
        for kind, loss in rows
    ]
    return lines


def _mebibytes(checkpoint: Path, kind: str, keep: bool) -> float:
    command = [sys.executable, "-c", _WEIGH, str(checkpoint), kind, str(int(keep))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
