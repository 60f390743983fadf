"""How fast this machine trains, measured in a moment, and what it computes on.

Shapes: B batch, T time.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from gpt_core.config import GPTConfig, TrainingConfig
from gpt_core.execution import resolve_device
from gpt_core.execution.placement import lay_out
from gpt_core.models import build_model, flops_per_token

_MOST_LAYERS, _MOST_TOKENS_OF_VOCABULARY, _LONGEST_CONTEXT = 2, 8192, 256
_MOST_FLOPS = 1e10  # of one pass that is timed: a moment on two cores


def training_speed(
    config: GPTConfig, training: TrainingConfig, clock: Callable[[], float]
) -> float:
    """Floating-point operations a second that training reaches on a model of this shape.

    A copy with fewer layers and a smaller batch is trained, so that it takes a moment for any
    size; what small matrices cost beyond their arithmetic is in the figure.

    Args:
        config: The shape, with ``vocab_size`` set.
        training: Device, precision and micro-batch.
        clock: Gives seconds, such as ``time.perf_counter``.

    Raises:
        ConfigError: If ``config.vocab_size`` is None, or the device is not there.
    """
    few = replace(
        config,
        n_layer=min(config.n_layer, _MOST_LAYERS),
        vocab_size=config.vocab_size and min(config.vocab_size, _MOST_TOKENS_OF_VOCABULARY),
        context_length=min(config.context_length, _LONGEST_CONTEXT),
    )
    device = resolve_device(training.device)
    layout = lay_out(build_model(few, seed=0), device, replace(training, compile="off"))
    T = few.context_length
    B = max(1, min(training.micro_batch, int(_MOST_FLOPS / (T * flops_per_token(few)))))
    token_ids = torch.zeros(B, T, dtype=torch.long, device=device)

    def seconds_of_a_pass() -> float:
        started = clock()
        with layout.computing.on(device):
            loss = layout.loss(token_ids, token_ids)
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - started

    seconds_of_a_pass()  # the first one also allocates
    return B * T * flops_per_token(few) / max(1e-9, seconds_of_a_pass())


def describe_device() -> str:
    """The name of the device that ``auto`` would take."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
