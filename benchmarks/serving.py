"""Load of the server: clients against the engine's own rate, waits, health, faults of clients.

``python -m benchmarks.serving [--checkpoint DIR] [--clients 32] [--tokens 64] [--turns 5]``

Without a checkpoint it is a random model of 6 layers, 192 wide. Every client streams one answer
over a connection of its own; the server is a process of its own. In each turn the engine decodes
the same requests alone first, with the same threads, so that both see the same machine. Then
clients drop, and clients find the queue full.
"""

import argparse
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from benchmarks.report import publish
from benchmarks.serving_clients import HealthProbe, stream_all
from benchmarks.serving_faults import measure_drops, measure_refusals
from gpt_core.artifact import new_artifact
from gpt_core.checkpoints import (
    TOKENIZER,
    CheckpointDescription,
    read_description,
    write_checkpoint,
)
from gpt_core.config import GPTConfig
from gpt_core.cores import usable_cores
from gpt_core.generation.engine import Engine, run
from gpt_core.generation.requests import Request
from gpt_core.models import build_model, load_model, save_weights
from gpt_core.tokenizers import CodePointTokenizer, load_tokenizer

SLOTS = 8
PROMPT = tuple(range(1, 65))
LONG = 8192  # tokens of a context, so that no answer ends while clients drop or are refused


def main() -> None:
    """Measure and append to the results."""
    options = _options()
    torch.set_num_threads(max(1, usable_cores() - 1))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = options.checkpoint or _random_model(Path(folder) / "random-6x192")
        engine = Engine(load_model(checkpoint), n_slots=SLOTS)
        step, chunk = _step_times(engine, options.tokens)
        turns: list[dict[str, float]] = []
        with _serving(checkpoint, 2 * options.clients) as (port, pid):
            for _ in range(options.turns):
                turns.append(_engine_rate(engine, options))
                before = _cpu_seconds(pid)
                load = _load(port, options)
                load["cpu"] = (_cpu_seconds(pid) - before) / load["tokens"]
                turns[-1] |= load
        faults = _faults(options.checkpoint or _random_model(Path(folder) / "long", LONG))
    _publish(checkpoint.name, options, step, chunk, turns, faults)


def _faults(checkpoint: Path) -> list[tuple[str, str]]:
    """Clients that drop, then clients that are refused, in servers of their own."""
    context = read_description(checkpoint).model.context_length
    body: dict[str, object] = {
        "prompt": list(PROMPT), "max_tokens": context - 2 * len(PROMPT),
        "logit_bias": {str(load_tokenizer(checkpoint / TOKENIZER).eos_id): -100},
    }  # fmt: skip
    rows = measure_drops(checkpoint, SLOTS, body, 150)
    with _serving(checkpoint, SLOTS) as (port, _):
        return rows + measure_refusals(port, 2 * SLOTS, body, 300)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    return parser.parse_args()


def _random_model(directory: Path, context_length: int = 256) -> Path:
    tokenizer = CodePointTokenizer([chr(0x4E00 + i) for i in range(511)])
    shape = GPTConfig(
        n_layer=6, n_head=6, n_embd=192, context_length=context_length,
        vocab_size=tokenizer.vocab_size,
    )  # fmt: skip
    with new_artifact(directory, kind="checkpoint") as draft:
        write_checkpoint(
            draft,
            CheckpointDescription(kind="imported", step=0, model=shape),
            save_weights=partial(save_weights, build_model(shape, seed=1)),
            save_tokenizer=tokenizer.save,
        )
    return directory


@contextmanager
def _serving(checkpoint: Path, queue: int) -> Iterator[tuple[int, int]]:
    """Serve a checkpoint in a process of its own; gives its port and its id."""
    command = [sys.executable, "-m", "gpt_core", "serve", "--checkpoint", str(checkpoint)]
    command += ["--port", "0", "--slots", str(SLOTS), "--queue", str(queue)]
    command += ["--threads", str(torch.get_num_threads())]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        found = (re.search(r"serving at http://\S+:(\d+)/", line) for line in process.stdout)
        try:
            yield int(next(match[1] for match in found if match)), process.pid
        finally:
            process.terminate()


def _requests(options: argparse.Namespace) -> list[Request]:
    return [
        Request(prompt=PROMPT, max_new_tokens=options.tokens, seed=i, temperature=1.0)
        for i in range(options.clients)
    ]


def _engine_rate(engine: Engine, options: argparse.Namespace) -> dict[str, float]:
    """Tokens per second of the engine alone, and CPU seconds per token, prompts included."""
    started, cpu = time.perf_counter(), time.process_time()
    tokens = sum(len(update.tokens) for _, update in run(engine, _requests(options)))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"engine rate": tokens / seconds, "engine cpu": cpu / tokens}


def _cpu_seconds(pid: int) -> float:
    """CPU time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _step_times(engine: Engine, n_tokens: int) -> tuple[float, float]:
    """Median seconds of a step of full slots, and of a step with one chunk of a prompt."""
    ids = [
        engine.add(Request(prompt=PROMPT, max_new_tokens=n_tokens, seed=i)) for i in range(SLOTS)
    ]
    chunks = [_timed_step(engine) for _ in ids]
    steps = [_timed_step(engine) for _ in range(n_tokens // 2)]
    for request_id in ids:
        engine.cancel(request_id)
    return statistics.median(steps), statistics.median(chunks)


def _timed_step(engine: Engine) -> float:
    started = time.perf_counter()
    engine.step()
    return time.perf_counter() - started


def _load(port: int, options: argparse.Namespace) -> dict[str, float]:
    """Every client streams one answer; another asks for the health all the time."""
    bodies: list[dict[str, object]] = [
        {"prompt": list(PROMPT), "max_tokens": options.tokens, "seed": i}
        for i in range(options.clients)
    ]
    with HealthProbe(port) as probe:
        started, cpu = time.perf_counter(), time.process_time()
        streams = stream_all(port, bodies)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    health, found = sorted(probe.seconds), [stream.times for stream in streams]
    tokens = sum(stream.tokens for stream in streams)
    gaps = [b - a for times in found for a, b in itertools.pairwise(times)]
    first = sorted(stream.times[0] - stream.asked for stream in streams)
    return {
        "rate": tokens / seconds,
        "tokens": tokens,
        "client cpu": cpu / tokens,
        "gap": max(gaps),
        "median gap": statistics.median(gaps),
        "first of the first": first[0],
        "last first": first[-1],
        "health": health[min(len(health) - 1, int(0.99 * len(health)))],
    }


def _publish(
    name: str,
    options: argparse.Namespace,
    step: float,
    chunk: float,
    turns: list[dict[str, float]],
    faults: list[tuple[str, str]],
) -> None:
    def median(key: str) -> float:
        return statistics.median(turn[key] for turn in turns)

    ratio = statistics.median(turn["rate"] / turn["engine rate"] for turn in turns)
    cpu = statistics.median(turn["cpu"] / turn["engine cpu"] for turn in turns)
    clients = statistics.median(turn["client cpu"] / turn["engine cpu"] for turn in turns)
    rows = [
        ("engine alone, tokens per second", f"{median('engine rate'):.0f}"),
        (f"{options.clients} clients together, tokens per second", f"{median('rate'):.0f}"),
        ("clients ÷ engine, median of the turns", f"{ratio:.2f}"),
        ("CPU time of a token: server ÷ engine", f"{cpu:.2f}"),
        ("CPU time of a token: clients and their probe ÷ engine", f"{clients:.2f}"),
        ("engine: step of 8, step with a chunk, ms", f"{step * 1000:.1f}, {chunk * 1000:.1f}"),
        ("between two tokens of a client: median, ms", f"{median('median gap') * 1000:.1f}"),
        ("longest wait of any client, median of the turns, ms", f"{median('gap') * 1000:.0f}"),
        ("first token of the first client, ms", f"{median('first of the first') * 1000:.0f}"),
        ("first token of the last client, ms", f"{median('last first') * 1000:.0f}"),
        ("/health under load, 99th percentile, ms", f"{median('health') * 1000:.0f}"),
        *faults,
    ]
    lines = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)]
    how = (
        f"{name}: {options.clients} clients on {SLOTS} slots, prompts of {len(PROMPT)} tokens, "
        f"{options.tokens} new ones, {options.turns} turns, each with the engine alone first; "
        f"{torch.get_num_threads()} decoding thread; server and clients are two processes."
    )
    publish("Serving", "serving", how, lines)


if __name__ == "__main__":
    main()
