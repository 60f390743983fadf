"""Decoding against ``transformers`` and nanoGPT: tokens a second, time to the first token, MBU.

Run from the checkout, with karpathy/nanoGPT's ``model.py`` in ``.peers/nanoGPT``:
``python -m benchmarks.decoding [--turns 5] [--tokens 32]``. Random weights, the same in all, one
thread, greedy, prompts of 64 tokens; everything in turn. The seconds are those of the CPU, so that
other work on the machine counts less. MBU is the fraction of the read bandwidth, measured in the
same run, that the weights of a step use.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import torch

from benchmarks.report import PEERS, publish
from gpt_core.config import GPTConfig
from gpt_core.generation import Engine, Request, run
from gpt_core.models import GPT, LinearKind, build_model

SHAPES = {
    "6 × 192": GPTConfig(n_layer=6, n_head=6, n_embd=192, vocab_size=512, context_length=1024),
    "124M": GPTConfig(n_layer=12, n_head=12, n_embd=768, vocab_size=50257, context_length=1024),
}
PROMPT = 64  # less than a chunk of the engine, so that none is reused between turns
NANO_TOKENS = 512
LOOKUP = 7  # tokens of a draft

Continue = Callable[[list[list[int]], int], list[list[int]]]
"""Prompts and a number of tokens to continuations."""


def main() -> None:
    """Measure every way in turn and append the tables to the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bandwidth = measure_bandwidth()
    lines = [
        f"One core reads {bandwidth / 1e9:.1f} GB/s.",
        "",
        "| model, rows | decoder | linear layers | tokens/s in sum | ÷ transformers | ms a token "
        "| ms to the first | MBU | ids as transformers' |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, config in SHAPES.items():
        model = build_model(config, seed=0).eval()
        for rows in (1, 2, 8):
            lines += compare(f"{name}, {rows}", model, rows, options, bandwidth)
    lines += ["", compare_with_nanogpt(), "", *map(compare_lookup, SHAPES)]
    how = (
        f"One thread, fp32, greedy, prompts of {PROMPT} tokens, {options.tokens} new ones, median "
        f"of {options.turns} turns, CPU seconds. The load is that of other work."
    )
    publish("Decoding, against transformers and nanoGPT", "decoding", how, lines)


def compare(
    name: str, model: GPT, n_rows: int, options: argparse.Namespace, bandwidth: float
) -> list[str]:
    """Rows of the table: ``transformers`` and the engine, for a number of prompts."""
    generator = torch.Generator().manual_seed(1)
    vocabulary = model.config.vocab_size or 0
    prompts = torch.randint(vocabulary, (n_rows, PROMPT), generator=generator).tolist()
    kinds: list[LinearKind] = ["plain", "packed", "int8"]
    engines = {
        kind: Engine(model, n_slots=n_rows, linears=kind, prefill_budget=4096) for kind in kinds
    }
    chosen = Engine(model, n_slots=n_rows).decoder.kind
    ways: dict[str, Continue] = {"transformers": partial(continue_theirs, theirs(model))}
    ways |= {kind: partial(continue_ours, engine) for kind, engine in engines.items()}
    first: dict[str, list[float]] = {way: [] for way in ways}
    each: dict[str, list[float]] = {way: [] for way in ways}
    answers = {way: work(prompts, options.tokens + 1) for way, work in ways.items()}  # warms up
    for _ in range(options.turns):
        for way, work in ways.items():
            start = seconds(partial(work, prompts, 1))
            total = seconds(partial(work, prompts, options.tokens + 1))
            if total > start:
                first[way].append(start)
                each[way].append((total - start) / options.tokens)
    n_bytes = 4 * sum(p.numel() for p in model.parameters()) - 4 * model.wpe.weight.numel()
    base = statistics.median(each["transformers"])
    rows = []
    for way in ways:
        step = statistics.median(each[way])
        size = n_bytes / 4 if way == "int8" else n_bytes
        decoder = "transformers, sdpa" if way == "transformers" else "gptflow"
        mark = " (chosen)" if way == chosen else ""
        linears = "" if way == "transformers" else f"{way}{mark}"
        rows.append(
            f"| {name} | {decoder} | {linears} | {n_rows / step:,.1f} | {base / step:.2f} | "
            f"{step * 1e3:.1f} | {statistics.median(first[way]) * 1e3:.0f} | "
            f"{size / step / bandwidth:.0%} | {answers[way] == answers['transformers']} |"
        )
    return rows


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of some work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure_bandwidth() -> float:
    """Bytes a second that one thread reads from memory, at best."""
    numbers = torch.ones(64 << 20)
    return numbers.nbytes / min(seconds(lambda: numbers.sum()) for _ in range(8))


def continue_ours(engine: Engine, prompts: list[list[int]], n_tokens: int) -> list[list[int]]:
    """Greedy continuations by the engine."""
    outputs: list[list[int]] = [[] for _ in prompts]
    requests = [Request(prompt=tuple(p), max_new_tokens=n_tokens, temperature=0) for p in prompts]
    for index, update in run(engine, requests):
        outputs[index] += [choice.token_id for choice in update.tokens]
    return outputs


@torch.inference_mode()
def continue_theirs(
    model: Any, prompts: list[list[int]], n_tokens: int, cache: str | None = None
) -> list[list[int]]:
    """Greedy continuations by ``transformers``, with its default cache or another."""
    token_ids = torch.tensor(prompts, device=model.device)
    new = model.generate(
        token_ids,
        attention_mask=torch.ones_like(token_ids),
        max_new_tokens=n_tokens,
        min_new_tokens=n_tokens,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        cache_implementation=cache,
    )
    answer: list[list[int]] = new[:, token_ids.size(1) :].tolist()
    return answer


def theirs(model: GPT) -> Any:
    """The same weights in ``transformers``' GPT-2, whose linear layers store them transposed."""
    import transformers

    config = model.config
    settings = transformers.GPT2Config(
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        vocab_size=config.vocab_size,
        n_positions=config.context_length,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",
    )
    other = transformers.GPT2LMHeadModel(settings).eval()
    other.load_state_dict(
        {name: copied for name, copied in _renamed(model).items() if name in other.state_dict()}
    )
    return other


def _renamed(model: GPT) -> dict[str, torch.Tensor]:
    transposed = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return {
        name if name.startswith("lm_head") else f"transformer.{name}": (
            tensor.t() if name.endswith(transposed) else tensor
        )
        for name, tensor in model.state_dict().items()
    }


def compare_with_nanogpt() -> str:
    """A sentence: the time of nanoGPT's ``generate``, which has no cache, and the engine's."""
    config = SHAPES["6 × 192"]
    nano = _import_nanogpt()
    settings = nano.GPTConfig(
        block_size=config.context_length, vocab_size=config.vocab_size, n_layer=config.n_layer,
        n_head=config.n_head, n_embd=config.n_embd, dropout=0.0, bias=True,
    )  # fmt: skip
    peer, prompt = nano.GPT(settings).eval(), torch.randint(512, (1, PROMPT))
    engine = Engine(build_model(config, seed=0).eval(), n_slots=1)
    with torch.inference_mode():
        slow = seconds(lambda: peer.generate(prompt, NANO_TOKENS, temperature=0.8, top_k=200))
    request = Request(
        prompt=tuple(prompt[0].tolist()), max_new_tokens=NANO_TOKENS, temperature=0.8, top_k=200
    )
    fast = seconds(lambda: list(run(engine, [request])))
    return (
        f"{NANO_TOKENS} sampled tokens of 6 × 192, batch 1: nanoGPT's `generate` (no cache) "
        f"{slow:.1f} s, the engine {fast:.1f} s, {slow / fast:.1f} times."
    )


def compare_lookup(name: str) -> str:
    """A line: the seconds of greedy text with drafts from its repetitions and without."""
    config = SHAPES[name]
    model, n_tokens = build_model(config, seed=0).eval(), NANO_TOKENS if "6" in name else 96
    engine = Engine(model, n_slots=1, linears="packed")
    prompt = tuple(torch.randint(config.vocab_size or 0, (PROMPT,)).tolist())
    plain = Request(prompt=prompt, max_new_tokens=n_tokens, temperature=0)
    drafted = replace(plain, lookup=LOOKUP)
    slow, fast, texts = list[float](), list[float](), list[list[int]]()
    for request, times in ((plain, slow), (drafted, fast)) * 3:
        tokens: list[int] = []
        times.append(seconds(partial(_collect, engine, request, tokens)))
        texts.append(tokens)
    distinct = len({tuple(texts[0][i : i + 3]) for i in range(n_tokens - 2)}) / (n_tokens - 2)
    ratio = statistics.median(slow) / statistics.median(fast)
    return (
        f"- Drafts of {LOOKUP} from repetitions, {name}, batch 1, {n_tokens} tokens of which "
        f"{distinct:.0%} of the 3-grams are distinct: {ratio:.2f} times as fast; the same ids: "
        f"{all(text == texts[0] for text in texts)}."
    )


def _collect(engine: Engine, request: Request, tokens: list[int]) -> None:
    for _, update in run(engine, [request]):
        tokens += [choice.token_id for choice in update.tokens]


def _import_nanogpt() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nanogpt", PEERS / "nanoGPT" / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
