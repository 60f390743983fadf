"""How fast this machine trains, measured in a moment, and what it computes on.

Shapes: B batch, T time.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from gpt_core.config import GPTConfig
from gpt_core.models.factory import build_model, flops_per_token
from gpt_core.models.loss import next_token_loss

_MOST_LAYERS, _MOST_TOKENS_OF_VOCABULARY, _LONGEST_CONTEXT = 2, 8192, 256
_MOST_FLOPS = 1e10  # of one pass that is timed: a moment on two cores


def training_speed(
    config: GPTConfig, micro_batch: int, clock: Callable[[], float], device: str = "cpu"
) -> float:
    """Floating-point operations a second that training reaches on a model of this shape.

    A copy with fewer layers and a smaller batch is trained, so that it takes a moment for any
    size; what small matrices cost beyond their arithmetic is in the figure.

    Args:
        config: The shape, with ``vocab_size`` set.
        micro_batch: Samples that go through the model at once.
        clock: Gives seconds, such as ``time.perf_counter``.
        device: Where to train.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.
    """
    few = replace(
        config,
        n_layer=min(config.n_layer, _MOST_LAYERS),
        vocab_size=config.vocab_size and min(config.vocab_size, _MOST_TOKENS_OF_VOCABULARY),
        context_length=min(config.context_length, _LONGEST_CONTEXT),
    )
    model = build_model(few, seed=0).to(device)
    T = few.context_length
    B = max(1, min(micro_batch, int(_MOST_FLOPS / (T * flops_per_token(few)))))
    token_ids = torch.zeros(B, T, dtype=torch.long, device=device)

    def seconds_of_a_pass() -> float:
        started = clock()
        next_token_loss(model(token_ids), token_ids).backward()  # type: ignore[no-untyped-call]
        if device == "cuda":
            torch.cuda.synchronize()
        return clock() - started

    seconds_of_a_pass()  # the first one also allocates
    return B * T * flops_per_token(few) / max(1e-9, seconds_of_a_pass())


def describe_device() -> str:
    """The name of the device that ``auto`` would take."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
