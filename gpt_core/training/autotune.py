"""Settings that only a trial can find: micro-batch size, attention kernel, compilation.

Shapes: B batch, H heads, T time, D head width.
"""

import gc
import math
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch.nn.attention import sdpa_kernel

from gpt_core.config import PretrainConfig
from gpt_core.execution.layout import Layout
from gpt_core.execution.numerics import DETERMINISTIC_KERNELS, KERNELS, Numerics
from gpt_core.execution.placement import build_layout
from gpt_core.execution.ranks import Ranks
from gpt_core.models import build_model, flops_per_token
from gpt_core.training.failures import is_out_of_memory, lacks_compiler
from gpt_core.training.updates import Updates

_LONG_RUN = 3600.0
"""Seconds of training. Compiling takes half a minute to two and gains between nothing and a
sixth: a trial then costs a long run little, whatever its result."""

_MAX_THREAD_FLOPS = 1e11  # per second: a run that is short at this speed needs no trial
_MAX_TIME_RATIO = 0.97  # compiled to uncompiled, for compiling to be worth it
_REPEATS = 3

Clock = Callable[[], float]
"""Returns seconds, such as ``time.perf_counter``."""


def fit_micro_batch(config: PretrainConfig, device: torch.device, ranks: Ranks) -> int:
    """Find the largest micro-batch that fits into memory, at most the configured one.

    Every rank tries on its own device, with a model of its own; the smallest result is used.

    Args:
        config: With the model's vocabulary size filled in.
        device: This rank's device.
        ranks: The processes of the run.
    """

    def attempt(micro_batch: int) -> None:
        _train_once(config, micro_batch, device)

    largest = largest_that_fits(config.training.micro_batch, attempt)
    return min(int(each) for each in ranks.all_gather(torch.tensor(largest)))


def largest_that_fits(size: int, attempt: Callable[[int], None]) -> int:
    """Try a size, then its divisors from half of it downwards, until one fits into memory.

    Args:
        size: The first one to try.
        attempt: Does the work with a size.

    Returns:
        The first size that fits; 1 is not tried, as there is nothing smaller.
    """
    while size > 1 and not _fits(attempt, size):
        size = next(n for n in range(size // 2, 0, -1) if size % n == 0)
    return size


def autotune(
    layout: Layout, config: PretrainConfig, clock: Clock, notify: Callable[[str], None]
) -> Numerics:
    """Find the fastest attention kernel, and whether compiling is worth it, for a new run.

    The layout's gradients are freed.

    Args:
        layout: The model, with the numerics that follow from the settings.
        config: With the model's vocabulary size filled in.
        clock: Measures the trials.
        notify: Called with a sentence on what compiling gains, if that was tried.
    """
    numerics, compute, on = layout.numerics, config.compute, layout.device.type
    if on == "cuda" and compute.attention_kernel == "auto" and config.model.attention == "sdpa":
        names = DETERMINISTIC_KERNELS if numerics.deterministic else tuple(KERNELS)
        times = {name: attention_seconds(name, config, layout, clock) for name in names}
        fastest = layout.ranks.broadcast(lambda: min(times, key=lambda name: times[name]))
        numerics = replace(numerics, attention_kernel=fastest)
    if on == "cpu" and compute.compile == "auto" and layout.ranks.size == 1:
        compiled = _compiling_is_faster(layout, config, clock, notify)
        numerics = replace(numerics, compiled=compiled)
    return numerics


def is_long(config: PretrainConfig, threads: int) -> bool:
    """Whether a run is long enough for a trial, even on a fast CPU."""
    tokens = config.training.steps * config.training.tokens_per_step
    return tokens * flops_per_token(config.model) > _LONG_RUN * _MAX_THREAD_FLOPS * threads


def attention_seconds(kernel: str, config: PretrainConfig, layout: Layout, clock: Clock) -> float:
    """Time one layer's attention, forward and backward; infinite if the kernel does not run."""
    model, bf16 = config.model, layout.numerics.precision == "bf16"
    shape = (
        config.training.micro_batch, model.n_head, model.context_length,
        model.n_embd // model.n_head,
    )  # fmt: skip
    query, key, value = (
        torch.randn(
            shape, device=layout.device, dtype=torch.bfloat16 if bf16 else None, requires_grad=True
        )
        for _ in range(3)
    )  # each (B, H, T, D)

    def attend() -> None:
        with sdpa_kernel(KERNELS[kernel]):
            mixed = F.scaled_dot_product_attention(
                query, key, value, dropout_p=model.attention_dropout, is_causal=True
            )
        mixed.backward(mixed.detach())  # type: ignore[no-untyped-call]

    try:
        return _min_seconds(attend, layout.device, clock)
    except RuntimeError:  # not for this shape, dtype or device, or out of memory
        return math.inf


def _compiling_is_faster(
    layout: Layout, config: PretrainConfig, clock: Clock, notify: Callable[[str], None]
) -> bool:
    """Whether a compiled run takes less time; leaves the layout as the run will use it."""
    if not is_long(config, torch.get_num_threads()):
        return False
    shape = config.training.micro_batch, config.model.context_length
    token_ids = torch.zeros(shape, dtype=torch.long, device=layout.device)
    uncompiled = layout.numerics

    def micro_step() -> None:
        with layout.numerics.context(layout.device):
            loss = layout.loss(token_ids, token_ids)
        loss.backward()
        layout.model.zero_grad()

    seconds = _min_seconds(micro_step, layout.device, clock)
    n_micro = config.training.steps * config.micro_batches_of(1)
    if seconds * n_micro < _LONG_RUN:
        return False
    started = clock()
    try:
        layout.set_numerics(replace(uncompiled, compiled=True))
        compiled_seconds = _min_seconds(micro_step, layout.device, clock)
    except RuntimeError as error:
        if not lacks_compiler(error):
            raise
        layout.set_numerics(uncompiled)
        notify("there is no C++ compiler here: the run continues uncompiled")
        return False
    is_faster = compiled_seconds < _MAX_TIME_RATIO * seconds
    if not is_faster:
        layout.set_numerics(uncompiled)
    notify(
        f"compiled in {clock() - started:.0f} s, a micro-batch takes {compiled_seconds:.3f} s "
        f"instead of {seconds:.3f} s: the run continues "
        f"{'compiled' if is_faster else 'uncompiled'}"
    )
    return is_faster


def _min_seconds(work: Callable[[], object], device: torch.device, clock: Clock) -> float:
    """The shortest time of some work over a few repeats, after a warm-up."""
    times = []
    for _ in range(1 + _REPEATS):
        started = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - started)
    return min(times[1:])


def _fits(attempt: Callable[[int], None], size: int) -> bool:
    try:
        attempt(size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


def _train_once(config: PretrainConfig, micro_batch: int, device: torch.device) -> None:
    """Run one step on dummy tokens, with everything that a step allocates."""
    layout = build_layout(build_model(config.model, seed=0).train(), device, config.compute)
    updates = Updates(layout, config)
    token_ids = torch.zeros(
        micro_batch, config.model.context_length, dtype=torch.long, device=device
    )
    with layout.numerics.context(device):
        loss = layout.loss(token_ids, token_ids)
    loss.backward()
    updates.clip()
    updates.apply(0.0, measure=True)
