"""How fast we train GPT-2 124M on a GPU, against nanoGPT and Hugging Face, and setting by setting.

Run from the checkout on a machine with an NVIDIA GPU: ``python -m benchmarks.gpu``. All train the
same model on the same batches in bf16, compiled, with fused AdamW and clipping to norm 1, half a
million tokens an update. nanoGPT runs as it is shipped (12 samples at once) and at the batch that
is best for it. The second table has ours with one lever changed at a time. ``peers`` or ``levers``
after the command makes one table only, and names of levers a table of these, for a machine that is
lent by the minute.
"""

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import publish
from benchmarks.training import load_nanogpt, loader_of
from gpt_core.callbacks import Callback
from gpt_core.config import ComputeConfig, GPTConfig, PretrainConfig, TrainingConfig
from gpt_core.data import TokenLoader
from gpt_core.execution.placement import build_layout
from gpt_core.execution.precision import peak_flops
from gpt_core.models import build_model, flops_per_token
from gpt_core.training import Trainer
from gpt_core.training.autotune import autotune

SHAPE = GPTConfig(vocab_size=50_257)
SAMPLES = 512  # of an update: 524,288 tokens
NANOGPT_BATCHES = (12, 32)
MICRO_BATCH, HF_BATCH = 64, 16
TURNS = 5
TARGETS = {"nanoGPT as shipped": "≥ 1.25", "nanoGPT, its best batch": "≥ 1.15", "HF": "≥ 1.7"}
LEVERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "uncompiled": {"compile": "off"},
    "stream in fp32": {"stream": "fp32"},
    "vocabulary as it is": {"pad_vocabulary": False},
    "attention: flash": {"attention_kernel": "flash"},
    "attention: cuDNN": {"attention_kernel": "cudnn"},
    "attention: efficient": {"attention_kernel": "efficient"},
    "the same bits every time": {"deterministic": True},
    "head in 8 bits": {"fp8_head": True},
    "12 samples at once": {"micro_batch": 12},
    "128 samples at once": {"micro_batch": 128},
    "keeping less (recompute)": {"recompute": True},
}  # fmt: skip
"""Name of a variant to the settings that it changes."""

Update = Callable[[], int]
"""Trains once; returns how many samples it took."""


def main() -> None:
    """Measure on this GPU, print both tables and append them to the results."""
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: there is no NVIDIA GPU here")
    device, wanted = torch.device("cuda"), sys.argv[1:] or ["peers", "levers"]
    chosen = list(LEVERS) if "levers" in wanted else [name for name in LEVERS if name in wanted]
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        if "peers" in wanted:
            lines += ["", *against_peers(Path(name), device)]
        if chosen:
            lines += ["", *levers(Path(name), device, chosen)]
    how = f"Median of {TURNS} turns; a turn is one update of each. MFU counts 6 N + 12 L H Q T."
    publish("Training speed on a GPU", "gpu", how, lines[1:])


def against_peers(folder: Path, device: torch.device) -> list[str]:
    """The rows of the first table."""
    makers: dict[str, Callable[[], Update | None]] = {
        "ours": lambda: ours(folder, device, {}),
        "nanoGPT as shipped": lambda: nanogpt(folder, device, NANOGPT_BATCHES[0]),
        "nanoGPT, its best batch": lambda: nanogpt(folder, device, best_batch(folder, device)),
        "HF": lambda: huggingface(folder, device),
    }
    made = {name: make() for name, make in makers.items()}
    there = {name: update for name, update in made.items() if update is not None}
    seconds: dict[str, list[float]] = {name: [] for name in there}
    for update in there.values():
        seconds_of(update, device)  # compiles
    for _ in range(TURNS):
        for name, update in there.items():
            seconds[name].append(seconds_of(update, device))
    rows = ["| system | tokens/s | MFU | ours / it | target |", "|---|---|---|---|---|"]
    for name, taken in seconds.items():
        ratio = statistics.median(p / o for o, p in zip(seconds["ours"], taken, strict=True))
        rows.append(f"| {name} | {speed(taken, device)} | {ratio:.2f} | {TARGETS.get(name, '')} |")
    rows += [f"| {name} | not there | | | |" for name in made if name not in there]
    made.clear()
    there.clear()
    free()
    return rows


def levers(folder: Path, device: torch.device, names: Sequence[str]) -> list[str]:
    """The rows of the second table; a setting that fails says so."""
    rows = ["| ours | tokens/s | MFU | GiB at most |", "|---|---|---|---|"]
    for name in names:
        try:
            update = ours(folder, device, LEVERS[name])
            seconds_of(update, device)
            torch.cuda.reset_peak_memory_stats()
            taken = [seconds_of(update, device) for _ in range(TURNS)]
            memory = torch.cuda.max_memory_allocated() / 2**30
            rows.append(f"| {name} | {speed(taken, device)} | {memory:.0f} |")
        except RuntimeError as error:
            rows.append(f"| {name} | {str(error).splitlines()[0][:80]} | | |")
        update = None
        free()
        print(rows[-1], flush=True)
    return rows


def speed(seconds: list[float], device: torch.device) -> str:
    """Tokens per second and MFU, as two cells."""
    rate = SAMPLES * SHAPE.context_length / statistics.median(seconds)
    peak = peak_flops(device)
    utilization = "" if peak is None else f"{rate * flops_per_token(SHAPE) / peak:.1%}"
    return f"{rate:,.0f} | {utilization}"


def seconds_of(update: Update, device: torch.device) -> float:
    """Seconds for ``SAMPLES`` samples, synchronized with the device."""
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    synchronize()
    started = time.perf_counter()
    n_samples = update()
    synchronize()
    return (time.perf_counter() - started) * SAMPLES / n_samples


def free() -> None:
    """Free unused memory and compiled code."""
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


def batches(folder: Path, micro_batch: int) -> TokenLoader:
    """Batches of random ids; each caller has a folder of its own."""
    place = Path(tempfile.mkdtemp(dir=folder))
    return loader_of(place, SHAPE, micro_batch, n_tokens=5_000_000)


def ours(folder: Path, device: torch.device, settings: dict[str, Any]) -> Update:
    """An update of our Trainer."""
    compute = dict(settings)
    micro_batch = compute.pop("micro_batch", MICRO_BATCH)
    samples = SAMPLES - SAMPLES % micro_batch
    training = TrainingConfig(
        steps=10**6, tokens_per_step=samples * SHAPE.context_length, micro_batch=micro_batch
    )
    config = PretrainConfig(model=SHAPE, training=training, compute=ComputeConfig(**compute))
    layout = build_layout(build_model(SHAPE, seed=0).train(), device, config.compute)
    layout.set_numerics(autotune(layout, config, time.perf_counter, print))
    print("ours:", layout.numerics, flush=True)
    trainer = Trainer(layout, config, batches(folder, micro_batch), None, Callback())

    def update() -> int:
        trainer.train_step()
        return samples

    return update


def nanogpt(folder: Path, device: torch.device, batch: int) -> Update | None:
    """An update of nanoGPT's training script: compiled, its vocabulary padded as it is shipped."""
    module = load_nanogpt()
    if module is None:
        return None
    config = module.GPTConfig(
        block_size=SHAPE.context_length, vocab_size=50_304, n_layer=SHAPE.n_layer,
        n_head=SHAPE.n_head, n_embd=SHAPE.n_embd, dropout=0.0, bias=True,
    )  # fmt: skip
    model = module.GPT(config).to(device).train()
    optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), device.type)
    compiled = torch.compile(model)
    return accumulated(
        lambda ids, targets: compiled(ids, targets)[1], model, optimizer,
        batches(folder, batch), device, batch,
    )  # fmt: skip


def best_batch(folder: Path, device: torch.device) -> int:
    """The number of samples at once with which nanoGPT is the fastest here."""
    found: dict[int, float] = {}
    for batch in NANOGPT_BATCHES:
        try:
            update = nanogpt(folder, device, batch)
            if update is None:
                break
            seconds_of(update, device)
            found[batch] = seconds_of(update, device)
        except torch.OutOfMemoryError:
            break
        finally:
            update = None
            free()
    print("nanoGPT, seconds an update by batch:", found, flush=True)
    return min(found, key=found.__getitem__, default=NANOGPT_BATCHES[0])


def huggingface(folder: Path, device: torch.device) -> Update | None:
    """An update of Hugging Face's GPT-2, compiled, with fused AdamW."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        return None
    config = GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False)
    model: Any = GPT2LMHeadModel(config).to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1,
        fused=device.type == "cuda",
    )  # fmt: skip
    compiled: Any = torch.compile(model)

    def loss(ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = compiled(ids).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    return accumulated(loss, model, optimizer, batches(folder, HF_BATCH), device, HF_BATCH)


def accumulated(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: TokenLoader,
    device: torch.device,
    batch: int,
) -> Update:
    """An update as the peers' scripts do it; batches are pinned and sent ahead as there."""
    n_micro = round(SAMPLES / batch)

    def next_batch() -> tuple[torch.Tensor, torch.Tensor]:
        given = loader.next_batch()
        ids, targets = given.token_ids, given.targets
        if device.type == "cuda":
            ids, targets = (
                each.pin_memory().to(device, non_blocking=True) for each in (ids, targets)
            )
        return ids, targets

    def update() -> int:
        ids, targets = next_batch()
        for _ in range(n_micro):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                micro = loss(ids, targets) / n_micro
            ids, targets = next_batch()
            micro.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return n_micro * batch

    return update


if __name__ == "__main__":
    main()
