"""Notices at every update that the loss is no longer a number, without waiting for the device."""

import torch
from torch import Tensor

from gpt_core.training.health import Health


class DivergenceWatch:
    """Judges each update of a run and remembers the first bad one.

    Args:
        device: Where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._health = Health(None, device)
        self._bad = torch.zeros((), dtype=torch.bool, device=device)
        # A GPU writes its answer here when it gets to it: read without waiting, it may be late.
        self._seen = torch.zeros((), dtype=torch.bool, pin_memory=device.type == "cuda")

    def judge(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Judge one update.

        Args:
            step: Counted from 1.
            loss: Its mean loss, a scalar.
            norm: The gradient norm before clipping, a scalar.
        """
        self._bad |= self._health.judge(step, loss, norm)
        self._seen.copy_(self._bad, non_blocking=True)

    @property
    def alarmed(self) -> bool:
        """Whether a bad update is known of; on a GPU some updates late, without waiting for it."""
        return bool(self._seen)

    def first_bad(self) -> int | None:
        """The first bad update, or None. Synchronizes with the device."""
        found = self._health.first_bad()
        return None if found is None else found[0]
