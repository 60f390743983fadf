"""Numerics of a run: precision, compilation, attention kernel.

They are resolved when a run starts and saved in its checkpoints, so that a resumed run ends with
the same bits as an uninterrupted one.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt_core.config import ComputeConfig
from gpt_core.errors import ConfigError
from gpt_core.execution.precision import autocast, resolve_precision

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
"""Torch's attention kernels by their names in the settings."""

DETERMINISTIC_KERNELS = ("flash", "math")
"""The kernels whose gradients have the same bits every time."""

_FP8_CAPABILITY = (8, 9)


@dataclass(frozen=True, kw_only=True, slots=True)
class Numerics:
    """How a run's loss and gradients are computed."""

    machine: str
    """The device it was resolved for, such as ``cpu`` or a GPU's name."""

    precision: str
    """Precision of matrix products: fp32 or bf16."""

    bf16_residual: bool
    """Whether the residual stream is bf16, as the products are."""

    compiled: bool
    """Whether loss and gradients go through ``torch.compile``."""

    attention_kernel: str | None
    """A key of ``KERNELS``; None lets torch choose."""

    padded_head: bool
    """Whether a GPU computes the head for a vocabulary rounded up to a multiple of 128."""

    fp8_head: bool
    """Whether the head's products are computed in FP8."""

    recompute: bool
    """Whether activations are recomputed in the backward pass (activation checkpointing)."""

    deterministic: bool = False
    """Whether a GPU takes only kernels that sum in a fixed order; older checkpoints lack it."""

    @contextmanager
    def context(self, device: torch.device) -> Iterator[None]:
        """Context in which losses are computed with these numerics."""
        kernel: AbstractContextManager[object] = nullcontext()
        if self.attention_kernel is not None and device.type == "cuda":
            kernel = sdpa_kernel(KERNELS[self.attention_kernel])
        with autocast(device, self.precision), kernel:
            yield

    @contextmanager
    def reproducible(self, device: torch.device) -> Iterator[None]:
        """Context for losses and their gradients: the same bits every time, if that was asked."""
        if not (self.deterministic and device.type == "cuda"):
            yield
            return
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch insists on it
        before = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, for a checkpoint; ``Numerics(**fields)`` restores them."""
        return asdict(self)


def resolve_numerics(compute: ComputeConfig, device: torch.device) -> Numerics:
    """Resolve the numerics that follow from settings and device.

    ``gpt_core.training.autotune`` replaces those that need benchmarking.

    Raises:
        ConfigError: If the device does not support a setting.
    """
    on_gpu = device.type == "cuda"
    if compute.fp8_head and on_gpu and torch.cuda.get_device_capability(device) < _FP8_CAPABILITY:
        raise ConfigError(
            f"{torch.cuda.get_device_name(device)} has no products of 8 bits: set "
            "compute.fp8_head=false"
        )
    precision = resolve_precision(compute.precision, device)
    compiling = compute.compile
    return Numerics(
        machine=torch.cuda.get_device_name(device) if on_gpu else device.type,
        precision=precision,
        bf16_residual=precision == "bf16" and compute.stream == "auto",
        compiled=compiling == "on" or (compiling == "auto" and on_gpu),
        attention_kernel=None if compute.attention_kernel == "auto" else compute.attention_kernel,
        padded_head=compute.pad_vocabulary,
        fp8_head=compute.fp8_head,
        deterministic=compute.deterministic and on_gpu,
        recompute=compute.recompute,
    )
