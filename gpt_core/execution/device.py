"""Selects the torch device."""

import torch

from gpt_core.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """Return the device for a setting; ``auto`` prefers a GPU.

    Raises:
        ConfigError: If this machine has no such device.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[name]:
        raise ConfigError(f"this machine has no {name} device: set device=auto or device=cpu")
    return torch.device(name)
