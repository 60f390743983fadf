"""A running mean of a model's weights, which is often better than the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_SOONEST = 10  # the first updates weigh more: decay is at most (1 + n) / (10 + n) at update n


class WeightAverage:
    """The exponential moving average of a model's weights.

    After each step ``average = d × average + (1 - d) × weights``, where d is ``decay``, or less at
    the beginning, when the first weights would weigh too much.

    Args:
        model: With the weights that the average begins as.
        decay: Share that stays in each step.

    References:
        Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging".
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = list(model.parameters())
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._decay, self._updates = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of a step."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (_SOONEST + self._updates))
        current: list[Tensor] = [parameter.detach() for parameter in self._parameters]
        torch._foreach_lerp_(self._average, current, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average as its weights inside the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Any]:
        """The weights themselves, for a checkpoint's are the average."""
        weights = [parameter.detach() for parameter in self._parameters]
        return {"updates": self._updates, "weights": weights}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Give a model that was loaded with the average its own weights back."""
        self._updates = state["updates"]
        for parameter, weight in zip(self._parameters, state["weights"], strict=True):
            parameter.copy_(weight)

    def _swap(self) -> None:
        for i, parameter in enumerate(self._parameters):
            parameter.data, self._average[i] = self._average[i], parameter.data
