"""What only a trial can say: which attention kernel is the fastest, and whether compiling pays.

Shapes: B batch, H heads, T time, D head width.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch.nn.attention import sdpa_kernel

from gpt_core.config import PretrainConfig
from gpt_core.execution.layout import Layout
from gpt_core.execution.numerics import KERNELS, Computing
from gpt_core.models import flops_per_token
from gpt_core.training.failures import lacks_compiler

_LONG_RUN = 3600.0
"""Seconds of training. Compiling takes half a minute to two and gains between nothing and a
sixth: a trial then costs a long run little, whatever comes of it."""

_FASTEST_THREAD = 1e11  # FLOP/s: a run that is short at this speed needs no trial
_WORTH_IT = 0.97  # of the time that it takes without
_REPEATS = 3


def tuned(
    layout: Layout,
    config: PretrainConfig,
    clock: Callable[[], float],
    tell: Callable[[str], None],
) -> Computing:
    """How to compute a run that begins here. The layout's gradients are forgotten.

    Args:
        layout: The model, with how the settings want it computed.
        config: With the model's vocabulary size filled in.
        clock: Gives seconds, such as ``time.perf_counter``.
        tell: Told in a sentence what compiling would gain, if that was tried.
    """
    computing, training, on = layout.computing, config.training, layout.device.type
    if on == "cuda" and training.attention_kernel == "auto" and config.model.attention == "sdpa":
        times = {name: seconds_of_attention(name, config, layout, clock) for name in KERNELS}
        fastest = min(times, key=lambda name: times[name])
        computing = replace(computing, kernel=layout.ranks.shared(fastest))
    if on == "cpu" and training.compile == "auto" and layout.ranks.size == 1:
        computing = replace(computing, compiled=_compiling_pays(layout, config, clock, tell))
    return computing


def is_long(config: PretrainConfig, threads: int) -> bool:
    """Whether a run takes long enough for a trial even if the processor is a fast one."""
    tokens = config.training.steps * config.training.tokens_per_step
    return tokens * flops_per_token(config.model) > _LONG_RUN * _FASTEST_THREAD * threads


def seconds_of_attention(
    kernel: str, config: PretrainConfig, layout: Layout, clock: Callable[[], float]
) -> float:
    """Time of one layer's attention, forward and backward; no end of it if the kernel cannot."""
    model, bf16 = config.model, layout.computing.precision == "bf16"
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
        return _seconds(attend, layout.device, clock)
    except RuntimeError:  # not for this shape, type or device, or too much memory
        return math.inf


def _compiling_pays(
    layout: Layout,
    config: PretrainConfig,
    clock: Callable[[], float],
    tell: Callable[[str], None],
) -> bool:
    """Whether the run takes less time compiled; the layout is left as it will be used."""
    if not is_long(config, torch.get_num_threads()):
        return False
    shape = config.training.micro_batch, config.model.context_length
    token_ids = torch.zeros(shape, dtype=torch.long, device=layout.device)
    plain = layout.computing

    def micro_step() -> None:
        with layout.computing.on(layout.device):
            loss = layout.loss(token_ids, token_ids)
        loss.backward()
        layout.model.zero_grad()

    seconds = _seconds(micro_step, layout.device, clock)
    n_micro = config.training.steps * config.micro_batches_of(1)
    if seconds * n_micro < _LONG_RUN:
        return False
    started = clock()
    try:
        layout.use(replace(plain, compiled=True))
        compiled = _seconds(micro_step, layout.device, clock)
    except RuntimeError as error:
        if not lacks_compiler(error):
            raise
        layout.use(plain)
        tell("there is no C++ compiler here: the run goes on uncompiled")
        return False
    pays = compiled < _WORTH_IT * seconds
    if not pays:
        layout.use(plain)
    tell(
        f"compiled in {clock() - started:.0f} s, a micro-batch takes {compiled:.3f} s instead of "
        f"{seconds:.3f} s: the run goes on {'compiled' if pays else 'uncompiled'}"
    )
    return pays


def _seconds(work: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """The least time of some work, after a first time that does not count."""
    times = []
    for _ in range(1 + _REPEATS):
        started = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - started)
    return min(times[1:])
