"""How fast we decode GPT-2 124M on a GPU, against Hugging Face.

Run from the checkout on a machine with an NVIDIA GPU: ``python -m benchmarks.gpu_decoding [ROWS
...]``. Random weights, the same in all, greedy, prompts of 64 tokens. Hugging Face runs
``generate`` with its growing cache, and with its static cache, which it compiles; ours with several
kinds of step. Everything in turn. The time to the first token is subtracted, except for the static
cache, which is compiled again for every length.
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
PROMPT, TOKENS, TURNS = 64, 128, 5
STATIC = "HF, bf16, static cache, compiled"
ENGINES: dict[str, tuple[LinearKind, StepKind]] = {
    "ours, bf16, compiled": ("bf16", "compiled"),
    "ours, bf16, recorded": ("bf16", "recorded"),
    "ours, fp32, recorded": ("plain", "recorded"),
}
TARGETS = {
    (1, "HF, bf16, eager"): "≥ 15",
    (1, STATIC): "≥ 2",
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
        "| ms a step | ms to the first | ids as ours in fp32 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for n_rows in map(int, sys.argv[1:] or ("1", "8", "64")):
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
    if n_rows == 1:
        ways[STATIC] = partial(continue_theirs, half, cache="static")
    answers: dict[str, list[list[int]]] = {}
    for name, work in ways.items():
        warm = timed(lambda work=work: [work(prompts, TOKENS + 1) for _ in range(2)])  # type: ignore[misc]
        answers[name] = work(prompts, TOKENS + 1)
        print(f"{n_rows}, {name}: warm after {warm:.1f} s", flush=True)
    first, step = measure(ways, prompts)
    exact, best = answers["ours, fp32, recorded"], step["ours, bf16, compiled"]
    rows = [
        f"| {n_rows} | {name} | {n_rows / step[name]:,.0f} | {step[name] / best:.2f} | "
        f"{TARGETS.get((n_rows, name), '')} | {step[name] * 1e3:.3f} | {first[name] * 1e3:.0f} | "
        f"{statistics.mean(map(shared, answers[name], exact)):.0%} |"
        for name in ways
    ]
    print("\n".join(rows), flush=True)
    return rows


def measure(
    ways: dict[str, Continue], prompts: list[list[int]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds to the first token and of a step, for each way."""
    first: dict[str, list[float]] = {name: [] for name in ways}
    step: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, work in ways.items():
            start = 0.0 if name == STATIC else timed(partial(work, prompts, 1))
            total = timed(partial(work, prompts, TOKENS + 1))
            first[name].append(start)
            step[name].append((total - start) / TOKENS)
    return (
        {name: statistics.median(taken) for name, taken in first.items()},
        {name: statistics.median(taken) for name, taken in step.items()},
    )


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
