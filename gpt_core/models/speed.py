"""How fast this machine multiplies matrices, measured in a moment."""

from collections.abc import Callable

import torch

_WIDTH, _REPEATS = 768, 5


def measured_flops(clock: Callable[[], float]) -> float:
    """Floating-point operations a second of a matrix product in float32.

    Args:
        clock: Gives seconds, such as ``time.perf_counter``.
    """
    a, b = torch.ones(2, _WIDTH, _WIDTH).unbind(0)
    a @ b  # the first product also loads the kernel
    started = clock()
    for _ in range(_REPEATS):
        a @ b
    return float(2 * _WIDTH**3 * _REPEATS / max(1e-9, clock() - started))


def describe_device() -> str:
    """The name of the device that ``auto`` would take."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
