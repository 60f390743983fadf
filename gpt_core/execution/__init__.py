"""Where and how a step is computed: devices, ranks, placement (DDP, FSDP2) and numerics."""

from gpt_core.execution.device import resolve_device
from gpt_core.execution.precision import autocast, resolve_precision

__all__ = ["autocast", "resolve_device", "resolve_precision"]
