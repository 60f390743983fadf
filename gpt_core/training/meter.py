"""The mean loss and the speed between two log lines, without waiting for the device."""

import math
import time
from typing import Any

import torch
from torch import Tensor


class Meter:
    """Counts steps and the time that they take.

    Args:
        device: Where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._loss_sum = torch.zeros((), device=device)
        self._summed_steps = 0
        self._timed_steps = 0  # those of the sum that this process has done
        self._clock = time.perf_counter()

    def count(self, loss: Tensor) -> None:
        """Note a step with its mean loss, a scalar."""
        self._loss_sum += loss
        self._summed_steps += 1
        self._timed_steps += 1

    def read(self) -> tuple[float, float, float]:
        """Begin anew; this waits for the device.

        Returns:
            The mean loss (NaN after no step), the seconds, and the steps a second.
        """
        loss = self._loss_sum.item() / self._summed_steps if self._summed_steps else math.nan
        now = time.perf_counter()
        seconds = now - self._clock
        rate = self._timed_steps / max(seconds, 1e-9)
        self._loss_sum.zero_()
        self._summed_steps, self._timed_steps, self._clock = 0, 0, now
        return loss, seconds, rate

    def pause(self) -> "Pause":
        """What is done inside takes no time."""
        return Pause(self)

    def forward(self, seconds: float) -> None:
        """Leave some seconds out."""
        self._clock += seconds

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs."""
        return {"loss_sum": self._loss_sum, "steps": self._summed_steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; the time begins now."""
        self._loss_sum = state["loss_sum"].to(self._loss_sum.device)
        self._summed_steps, self._timed_steps = state["steps"], 0
        self._clock = time.perf_counter()


class Pause:
    """Stops a meter's clock.

    Args:
        meter: The meter.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __enter__(self) -> None:
        self._entered = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._meter.forward(time.perf_counter() - self._entered)
