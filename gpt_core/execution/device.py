"""Where to compute."""

import torch

from gpt_core.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """The device of a setting; ``auto`` takes a GPU when there is one.

    Raises:
        ConfigError: If the device is not there.
    """
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if not there[name]:
        raise ConfigError(f"this machine has no {name} device: set device=auto or device=cpu")
    return torch.device(name)
