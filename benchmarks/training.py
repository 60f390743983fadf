"""Training speed against nanoGPT and Hugging Face's GPT-2, measured in turn.

Run from the checkout: ``python -m benchmarks.training``. The three train a model of the same shape
on the same batches: forward, backward, clipping to norm 1 and AdamW. nanoGPT (``.peers/nanoGPT``,
left out when it is not there) and Hugging Face run as their own scripts do on a CPU, in float32 and
uncompiled; ours is the Trainer with its defaults in a long run, which is compiled if a trial is
faster. Each runs in its own process. A second table profiles our uncompiled steps, with the speed
of this CPU's matrix products.
"""

import gc
import importlib.util
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.report import PEERS, publish, timed
from gpt_core.callbacks import Callback
from gpt_core.config import ComputeConfig, GPTConfig, LoaderConfig, PretrainConfig, TrainingConfig
from gpt_core.data import ShardReader, ShardWriter, TokenLoader
from gpt_core.execution import resolve_precision
from gpt_core.execution.placement import build_layout
from gpt_core.models import build_model
from gpt_core.training import Trainer
from gpt_core.training.autotune import autotune

SHAPES = {
    "GPT-2 124M, T = 1024, B = 1": (GPTConfig(vocab_size=50_304), 1, 1),
    "6 layers, 384 wide, T = 256, B = 16": (
        GPTConfig(n_layer=6, n_head=6, n_embd=384, context_length=256, vocab_size=65), 16, 2,
    ),
    "4 layers, 128 wide, T = 64, B = 12": (
        GPTConfig(n_layer=4, n_head=4, n_embd=128, context_length=64, vocab_size=65), 12, 40,
    ),
    "6 layers, 192 wide, 22,000 tokens, T = 256, B = 8": (
        GPTConfig(n_layer=6, n_head=6, n_embd=192, context_length=256, vocab_size=22_000), 8, 2,
    ),
}  # fmt: skip
"""Name to shape, samples in a batch, and steps in a turn."""

TARGETS = ("≥ 3", "≥ 3", "≥ 2.5", "")
TURNS = 7
PARTS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "attention": ("aten::bmm", "aten::_softmax", "aten::masked_fill_", "aten::sub_"),
    "GELU": ("aten::gelu", "aten::gelu_backward"),
    "copies and casts": ("aten::copy_", "aten::cat"),
    "norms": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
    "optimizer": ("aten::_fused_adamw_", "aten::linalg_vector_norm"),
}
"""Parts of a step to the operators that do them."""

Step = Callable[[], object]


def main() -> None:
    """Train in turn, print the table and append it to the results."""
    lines = [
        "| model | ours, tokens/s | nanoGPT | Hugging Face | ours / nanoGPT | ours / HF | target |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, (shape, batch, steps)), target in zip(SHAPES.items(), TARGETS, strict=True):
        lines.append(f"| {name} | {measure(shape, batch, steps)} | {target} |")
    lines += ["", *where_the_time_goes()]
    precision = resolve_precision("auto", torch.device("cpu"))
    how = (
        f"{torch.get_num_threads()} threads, ours in {precision}, the peers in fp32 as shipped. "
        f"Median of {TURNS} turns after one that does not count."
    )
    publish("Training speed", "training", how, lines)


def measure(shape: GPTConfig, batch: int, steps: int) -> str:
    """The cells of one shape: each system in a process of its own, one after the other."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        there: dict[str, Connection] = {}
        for system in MAKERS:
            pipe = running.enter_context(serving(system, shape, batch, Path(name) / system))
            if pipe.recv():  # each is ready before the next one begins
                there[system] = pipe
        seconds: dict[str, list[float]] = {system: [] for system in there}
        for _ in range(TURNS):
            for system, pipe in there.items():
                pipe.send(steps)
                seconds[system].append(pipe.recv())
    tokens = batch * shape.context_length * steps
    median = {name: tokens / statistics.median(taken) for name, taken in seconds.items()}
    speeds = [f"{median[name]:,.0f}" if name in median else "not there" for name in MAKERS]
    ratios = [
        f"{ratio(seconds['ours'], seconds[name]):.2f}" if name in seconds else ""
        for name in ("nanoGPT", "HF")
    ]
    return " | ".join([*speeds, *ratios])


@contextmanager
def serving(system: str, shape: GPTConfig, batch: int, folder: Path) -> Iterator[Connection]:
    """A process that trains a system on request, so that our malloc settings are ours alone."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=serve, args=(there, system, shape, batch, folder))
    process.start()
    there.close()  # if the process dies, its end is closed everywhere, and waiting for it ends
    yield here
    here.send(0)
    process.join()


def serve(pipe: Connection, system: str, shape: GPTConfig, batch: int, folder: Path) -> None:
    """Send whether the system is available, then the seconds of the steps that are asked for."""
    folder.mkdir()
    step = MAKERS[system](shape, batch, loader_of(folder, shape, batch))
    if step is not None:
        step()
    pipe.send(step is not None)
    while n_steps := pipe.recv():
        assert step is not None
        started = time.perf_counter()
        for _ in range(n_steps):
            step()
        pipe.send(time.perf_counter() - started)


def where_the_time_goes() -> list[str]:
    """Fraction of a step's time in each kind of operator, and the speed of matrix products."""
    rows = [f"| model | {' | '.join(PARTS)} | the rest |", "|---" * (len(PARTS) + 2) + "|"]
    for name, (shape, batch, steps) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            step = ours(shape, batch, loader_of(Path(folder), shape, batch), compiling="off")
            step()
            with torch.profiler.profile() as profile:
                for _ in range(steps):
                    step()
        own = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
        total = sum(own.values())
        fractions = [sum(own.get(key, 0) for key in keys) / total for keys in PARTS.values()]
        cells = [f"{fraction:.0%}" for fraction in [*fractions, 1 - sum(fractions)]]
        rows.append(f"| {name} | {' | '.join(cells)} |")
        gc.collect()
    return [*rows, "", product_speeds()]


def product_speeds() -> str:
    """Speed of matrix products; in bf16 only where the CPU has instructions for them.

    Without such instructions the products in bf16 would take minutes and say nothing.
    """
    fp32 = flops_per_second(torch.float32) / 1e9
    if resolve_precision("auto", torch.device("cpu")) != "bf16":
        return f"Products of 2,048 × 2,048 matrices: {fp32:.0f} GFLOP/s in fp32; no bf16 here."
    bf16 = flops_per_second(torch.bfloat16) / 1e9
    return (
        f"Products of 2,048 × 2,048 matrices: {bf16:.0f} GFLOP/s in bf16, {fp32:.0f} in fp32, a "
        f"ratio of {bf16 / fp32:.1f}, the most that bf16 can gain where all time is products."
    )


def flops_per_second(kind: torch.dtype) -> float:
    """Floating-point operations per second of matrix products."""
    matrix = torch.randn(2048, 2048, dtype=kind)
    matrix @ matrix
    repeats = 20
    return 2 * 2048**3 * repeats / timed(lambda: [matrix @ matrix for _ in range(repeats)])


def ratio(ours: list[float], peer: list[float]) -> float:
    """The median of the turns' ratios."""
    return statistics.median(p / o for o, p in zip(ours, peer, strict=True))


def loader_of(folder: Path, shape: GPTConfig, batch: int, n_tokens: int = 200_000) -> TokenLoader:
    """Random ids through our shards."""
    size = shape.vocab_size or 0
    token_ids = np.random.default_rng(0).integers(0, size, n_tokens).astype(np.uint16)
    (folder / "train").mkdir()
    with ShardWriter(
        folder / "train" / "part-00000.parquet",
        vocab_size=size, eos_id=size - 1, tokenizer_fingerprint="random",
    ) as writer:  # fmt: skip
        writer.write(token_ids)
    reader = ShardReader(folder, "train")
    return TokenLoader(
        reader, context_length=shape.context_length, batch_size=batch, config=LoaderConfig()
    )


def ours(
    shape: GPTConfig,
    batch: int,
    loader: TokenLoader,
    compiling: Literal["auto", "on", "off"] = "auto",
) -> Step:
    """A step of our Trainer, in a run that is long."""
    training = TrainingConfig(
        steps=10**6,
        tokens_per_step=batch * shape.context_length,
        micro_batch=batch,
    )
    compute = ComputeConfig(compile=compiling)
    config = PretrainConfig(model=shape, training=training, compute=compute)
    layout = build_layout(build_model(shape, seed=0).train(), torch.device("cpu"), compute)
    layout.set_numerics(autotune(layout, config, time.perf_counter, print))
    return Trainer(layout, config, loader, None, Callback()).train_step


def nanogpt(shape: GPTConfig, batch: int, loader: TokenLoader) -> Step | None:
    """A step of nanoGPT's training script."""
    module = load_nanogpt()
    if module is None:
        return None
    config = module.GPTConfig(
        block_size=shape.context_length, vocab_size=shape.vocab_size, n_layer=shape.n_layer,
        n_head=shape.n_head, n_embd=shape.n_embd, dropout=0.0, bias=True,
    )  # fmt: skip
    model = module.GPT(config).train()
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu")

    def step() -> None:
        given = loader.next_batch()
        _, loss = model(given.token_ids, given.targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def huggingface(shape: GPTConfig, batch: int, loader: TokenLoader) -> Step | None:
    """A step of Hugging Face's GPT-2 with AdamW."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        return None
    config = GPT2Config(
        vocab_size=shape.vocab_size, n_positions=shape.context_length, n_layer=shape.n_layer,
        n_head=shape.n_head, n_embd=shape.n_embd, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        use_cache=False,
    )  # fmt: skip
    model: Any = GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)

    def step() -> None:
        given = loader.next_batch()
        logits = model(given.token_ids).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), given.targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


MAKERS: dict[str, Callable[[GPTConfig, int, TokenLoader], Step | None]] = {
    "ours": ours,
    "nanoGPT": nanogpt,
    "HF": huggingface,
}


def load_nanogpt() -> ModuleType | None:
    """The ``model.py`` of nanoGPT, if it was fetched."""
    file = PEERS / "nanoGPT" / "model.py"
    if not file.is_file():
        return None
    spec = importlib.util.spec_from_file_location("nanogpt_model", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
