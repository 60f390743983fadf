"""Detects bad steps: a loss or gradient norm that is not finite, or a loss that jumps.

Nothing here synchronizes with the device, except ``first_bad``.
"""

import math
from typing import TypedDict

import torch
from torch import Tensor

_DECAY = 0.98  # of the running mean: about the last fifty steps
_CALIBRATION = 20  # good steps before a jump can be detected


class HealthState(TypedDict):
    """State of a ``Health``."""

    mean: Tensor
    good_steps: Tensor


class Health:
    """Judges each step of a run and remembers the first bad one.

    Args:
        spike_factor: A loss above this many times its running mean is bad; None disables this.
        device: Where the losses are.
    """

    def __init__(self, spike_factor: float | None, device: torch.device) -> None:
        self._factor = math.inf if spike_factor is None else spike_factor
        self._mean = torch.zeros((), device=device)
        self._good_steps = torch.zeros((), device=device)
        self._first_bad = torch.full((), -1, device=device)
        self._bad_loss = torch.full((), math.nan, device=device)

    def judge(self, step: int, loss: Tensor, norm: Tensor) -> Tensor:
        """Judge one step; only good steps update the running mean.

        Args:
            step: Counted from 1.
            loss: The step's mean loss, a scalar.
            norm: The gradient norm before clipping, a scalar.

        Returns:
            Whether the step is bad, a scalar on the device.
        """
        calibrated = self._good_steps >= _CALIBRATION
        jumps = calibrated & (loss > self._factor * self._mean)
        bad = ~(torch.isfinite(loss) & torch.isfinite(norm)) | jumps
        weight = torch.where(self._good_steps == 0, 1.0, 1 - _DECAY)
        self._mean = torch.where(bad, self._mean, self._mean + weight * (loss - self._mean))
        self._good_steps = self._good_steps + ~bad
        is_first = bad & (self._first_bad < 0)
        self._first_bad = torch.where(is_first, step, self._first_bad)
        self._bad_loss = torch.where(is_first & torch.isfinite(norm), loss, self._bad_loss)
        return bad

    def first_bad(self) -> tuple[int, str] | None:
        """The first bad step and what is wrong with it, or None. Synchronizes with the device."""
        step, loss = int(self._first_bad.item()), self._bad_loss.item()
        if step < 0:
            return None
        if math.isfinite(loss):
            return step, f"has jumped to {loss:.3f}, its mean was {self._mean.item():.3f}"
        return step, "is not a number"

    def reset(self) -> None:
        """Forget the bad step, but not the running mean."""
        self._first_bad = torch.full((), -1, device=self._mean.device)
        self._bad_loss = torch.full((), math.nan, device=self._mean.device)

    def state(self) -> HealthState:
        """State for ``restore``."""
        return {"mean": self._mean, "good_steps": self._good_steps}

    def restore(self, state: HealthState) -> None:
        """Restore a saved state."""
        device = self._mean.device
        self._mean = state["mean"].to(device)
        self._good_steps = state["good_steps"].to(device)
