"""How a run's arithmetic is done on its device: what sets its speed and its last bits.

It is settled when a run begins and goes with its checkpoints, for the run is to end with the bits
that it would have ended with undisturbed.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt_core.config import TrainingConfig
from gpt_core.errors import ConfigError
from gpt_core.execution.precision import autocast, resolve_precision

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
"""The settings' names of torch's attention kernels."""

_FP8_CAPABILITY = (8, 9)


@dataclass(frozen=True, kw_only=True, slots=True)
class Computing:
    """How the arithmetic of a run is done."""

    machine: str
    """What it was settled for."""

    precision: str
    """Of the products: fp32 or bf16."""

    bf16_residual: bool
    """The residual stream has the precision of the products."""

    compiled: bool
    """The loss and its gradients go through ``torch.compile``."""

    kernel: str | None
    """Of attention, one of ``KERNELS``; None leaves it to torch."""

    padded_head: bool
    """A GPU computes the head for a round number of tokens."""

    fp8_head: bool
    """The head's products are computed in 8 bits."""

    @contextmanager
    def on(self, device: torch.device) -> Iterator[None]:
        """Inside, losses are computed so."""
        kernel: AbstractContextManager[object] = nullcontext()
        if self.kernel is not None and device.type == "cuda":
            kernel = sdpa_kernel(KERNELS[self.kernel])
        with autocast(device, self.precision), kernel:
            yield


def settled(training: TrainingConfig, device: torch.device) -> Computing:
    """What the settings and the device say; ``tuned`` says what only a trial can.

    Raises:
        ConfigError: If the device cannot compute so.
    """
    on_gpu = device.type == "cuda"
    if training.fp8_head and on_gpu and torch.cuda.get_device_capability(device) < _FP8_CAPABILITY:
        raise ConfigError(
            f"{torch.cuda.get_device_name(device)} has no products of 8 bits: set "
            "training.fp8_head=false"
        )
    precision = resolve_precision(training.precision, device)
    on = training.compile
    return Computing(
        machine=torch.cuda.get_device_name(device) if on_gpu else device.type,
        precision=precision,
        bf16_residual=precision == "bf16" and training.stream == "auto",
        compiled=on == "on" or (on == "auto" and on_gpu),
        kernel=None if training.attention_kernel == "auto" else training.attention_kernel,
        padded_head=training.pad_vocabulary,
        fp8_head=training.fp8_head,
    )
