"""A short measurement of this machine's training throughput, and its device's name.

Shapes: B batch, T time.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from gpt_core.config import PretrainConfig
from gpt_core.execution import resolve_device
from gpt_core.execution.placement import build_layout
from gpt_core.models import build_model, flops_per_token

_MAX_LAYERS, _MAX_VOCAB_SIZE, _MAX_CONTEXT = 2, 8192, 256
_MAX_FLOPS = 1e10  # of the timed pass: a moment on two cores


def measure_training_flops(config: PretrainConfig, clock: Callable[[], float]) -> float:
    """Measure the floating-point operations per second of training a model of this shape.

    A copy with fewer layers and a smaller batch is trained, so that it takes a moment for any
    size. The result includes the inefficiency of small matrices.

    Args:
        config: With the model's vocabulary size filled in.
        clock: Returns seconds, such as ``time.perf_counter``.

    Raises:
        ConfigError: If the vocabulary size is None, or this machine has no such device.
    """
    shape = config.model
    small = replace(
        shape,
        n_layer=min(shape.n_layer, _MAX_LAYERS),
        vocab_size=shape.vocab_size and min(shape.vocab_size, _MAX_VOCAB_SIZE),
        context_length=min(shape.context_length, _MAX_CONTEXT),
    )
    device = resolve_device(config.compute.device)
    compute = replace(config.compute, compile="off")
    layout = build_layout(build_model(small, seed=0), device, compute)
    T = small.context_length
    B = max(1, min(config.training.micro_batch, int(_MAX_FLOPS / (T * flops_per_token(small)))))
    token_ids = torch.zeros(B, T, dtype=torch.long, device=device)

    def pass_seconds() -> float:
        started = clock()
        with layout.numerics.context(device):
            loss = layout.loss(token_ids, token_ids)
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - started

    pass_seconds()  # the first one also allocates
    return B * T * flops_per_token(small) / max(1e-9, pass_seconds())


def gpu_memory(device: str) -> int | None:
    """The memory of the GPU that a setting names, in bytes; None if it names no GPU.

    Raises:
        ConfigError: If this machine has no such device.
    """
    if resolve_device(device).type != "cuda":
        return None
    total: int = torch.cuda.get_device_properties(0).total_memory
    return total


def describe_device() -> str:
    """The name of the GPU that ``device=auto`` uses, or ``CPU only``."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
