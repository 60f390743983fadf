"""How fast we decode GPT-2 124M on a GPU, against Hugging Face.

Run from the checkout on a machine with an NVIDIA GPU: ``python -m benchmarks.gpu_decoding``. Random
weights, the same in all, greedy, prompts of 64 tokens. Hugging Face runs ``generate`` with its
growing cache, and with its static cache, which it compiles; ours with each kind of step. Everything
in turn; the time to the first token is subtracted.
"""

import statistics
import sys
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.decoding import continue_ours, continue_theirs, theirs
from benchmarks.report import publish, timed
from gpt_core.config import GPTConfig
from gpt_core.generation import Engine
from gpt_core.models import GPT, LinearKind, StepKind, build_model

SHAPE = GPTConfig(vocab_size=50_257)
PROMPT, TOKENS, TURNS = 64, 256, 5
ENGINES: dict[str, tuple[LinearKind, StepKind]] = {
    "ours, bf16, compiled": ("bf16", "compiled"),
    "ours, bf16, recorded": ("bf16", "recorded"),
    "ours, fp32, compiled": ("plain", "compiled"),
    "ours, fp32, recorded": ("plain", "recorded"),
    "ours, bf16, plain": ("bf16", "plain"),
}
TARGETS = {
    (1, "HF, bf16, eager"): "≥ 15",
    (1, "HF, bf16, static cache, compiled"): "≥ 2",
    (64, "HF, bf16, eager"): "≥ 5",
}

Continue = Callable[[list[list[int]], int], list[list[int]]]


def main() -> None:
    """Measure, print the table and append it to the results."""
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu_decoding: there is no NVIDIA GPU here")
    model = build_model(SHAPE, seed=0).eval().cuda()
    bandwidth = measure_bandwidth()
    lines = [
        f"The GPU copies {bandwidth / 1e12:.2f} TB/s, bytes read and written.",
        "",
        "| rows | decoder | tokens/s in sum | ours, bf16, compiled ÷ it | target "
        "| ms a step | ids as ours in fp32 |",
        "|---|---|---|---|---|---|---|",
    ]
    for n_rows in (1, 8, 64):
        lines += compare(model, n_rows)
    how = (
        f"Greedy, prompts of {PROMPT} tokens, {TOKENS} new ones, median of {TURNS} turns. Ids are "
        "compared up to the first that differs, in the mean over the rows."
    )
    publish("Decoding on a GPU", "gpu_decoding", how, lines)


def compare(model: GPT, n_rows: int) -> list[str]:
    """Rows of the table for a number of prompts."""
    generator = torch.Generator().manual_seed(n_rows)
    prompts = torch.randint(SHAPE.vocab_size or 0, (n_rows, PROMPT), generator=generator).tolist()
    ways: dict[str, Continue] = {}
    for name, (linears, steps) in ENGINES.items():
        engine = Engine(model, n_slots=n_rows, linears=linears, steps=steps, prefill_budget=1 << 20)
        ways[name] = partial(continue_ours, engine)
    half = theirs(model).to("cuda", torch.bfloat16)
    ways["HF, bf16, eager"] = partial(continue_theirs, half)
    if n_rows < 64:
        ways["HF, bf16, static cache, compiled"] = partial(continue_theirs, half, cache="static")
    answers, steps_of = {}, {name: list[float]() for name in ways}
    for name in list(ways):
        try:
            answers[name] = ways[name](prompts, TOKENS + 1)  # warms up
        except Exception as error:  # a peer that does not run here
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            del ways[name]
    turns = TURNS
    for _ in range(turns):
        for name, work in ways.items():
            start = timed(partial(work, prompts, 1))
            steps_of[name].append((timed(partial(work, prompts, TOKENS + 1)) - start) / TOKENS)
    step = {name: statistics.median(steps_of[name]) for name in ways}
    exact, best = answers["ours, fp32, recorded"], step["ours, bf16, compiled"]
    return [
        f"| {n_rows} | {name} | {n_rows / step[name]:,.0f} | {step[name] / best:.2f} | "
        f"{TARGETS.get((n_rows, name), '')} | {step[name] * 1e3:.3f} | "
        f"{statistics.mean(map(shared, answers[name], exact)):.0%} |"
        for name in ways
    ]


def shared(one: list[int], other: list[int]) -> float:
    """The fraction of a text before the first id that differs from another."""
    same = next(
        (i for i, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), len(one)
    )
    return same / len(one)


def measure_bandwidth() -> float:
    """Bytes a second that a large copy on the GPU reads and writes."""
    source = torch.randn(1 << 28, device="cuda")
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    return 2 * source.nbytes / min(timed(copy) for _ in range(8))


if __name__ == "__main__":
    main()
