"""Mean loss and speed between two log lines, without synchronizing with the device in between."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor


class Reading(NamedTuple):
    """The steps since the last reading."""

    loss: float
    """Their mean loss in nats; NaN after no step."""

    seconds: float
    """Their time, without what was excluded."""

    steps_per_second: float


class MeterState(TypedDict):
    """State of a ``Meter``."""

    loss_sum: Tensor
    steps: int


class Meter:
    """Accumulates the losses and the time of training steps.

    Args:
        device: Where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._loss_sum = torch.zeros((), device=device)
        self._summed_steps = 0
        self._timed_steps = 0  # those of the sum that were done by this process
        self._clock = time.perf_counter()

    def count(self, loss: Tensor) -> None:
        """Add a step with its mean loss, a scalar."""
        self._loss_sum += loss
        self._summed_steps += 1
        self._timed_steps += 1

    def read(self) -> Reading:
        """Read the meter and reset it. Synchronizes with the device."""
        loss = self._loss_sum.item() / self._summed_steps if self._summed_steps else math.nan
        now = time.perf_counter()
        seconds = now - self._clock
        rate = self._timed_steps / max(seconds, 1e-9)
        self._loss_sum.zero_()
        self._summed_steps, self._timed_steps, self._clock = 0, 0, now
        return Reading(loss, seconds, rate)

    @contextmanager
    def exclude_time(self) -> Iterator[None]:
        """Exclude the time spent in this block from the throughput."""
        entered = time.perf_counter()
        try:
            yield
        finally:
            self._clock += time.perf_counter() - entered

    def state(self) -> MeterState:
        """State for ``restore``."""
        return {"loss_sum": self._loss_sum, "steps": self._summed_steps}

    def restore(self, state: MeterState) -> None:
        """Restore a saved state and start the clock."""
        self._loss_sum = state["loss_sum"].to(self._loss_sum.device)
        self._summed_steps, self._timed_steps = state["steps"], 0
        self._clock = time.perf_counter()
