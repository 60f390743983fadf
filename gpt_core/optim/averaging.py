"""Exponential moving average (EMA) of a model's weights, often better than the last weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import torch
from torch import Tensor, nn

from gpt_core.execution.layout import shard_like

_WARMUP = 10  # early updates weigh more: decay is at most (1 + n) / (10 + n) at update n


class AverageState(TypedDict):
    """State of a ``WeightAverage``."""

    updates: int
    weights: dict[str, Tensor]
    """The raw weights by name; empty if they are saved as shards."""


class WeightAverage:
    """Exponential moving average of a model's weights.

    ``average = d × average + (1 - d) × weights`` after each step, where d is ``decay``, or less in
    the first steps, when the initial weights would weigh too much. As ``AveragedModel`` of
    ``torch.optim.swa_utils``, but sharded weights are supported and swapped in place.

    Args:
        model: Its current weights initialize the average.
        decay: Fraction of the average that is kept in each step.

    References:
        Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging".
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._names = [name for name, _ in model.named_parameters()]
        self._parameters = list(model.parameters())
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._decay, self._updates = decay, 0

    def update(self) -> None:
        """Update the average with the current weights."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (_WARMUP + self._updates))
        current: list[Tensor] = [parameter.detach() for parameter in self._parameters]
        torch._foreach_lerp_(self._average, current, 1 - decay)

    @contextmanager
    def use_average(self) -> Iterator[None]:
        """Context in which the model's weights are the average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self, *, sharded: bool = False) -> AverageState:
        """State for ``restore``: the raw weights, because the checkpoint stores the averaged ones.

        Args:
            sharded: Leave the weights out; they are saved as shards.
        """
        return {"updates": self._updates, "weights": {} if sharded else self.raw_weights()}

    def raw_weights(self) -> dict[str, Tensor]:
        """The weights of the last step, by name."""
        parameters = (parameter.detach() for parameter in self._parameters)
        return dict(zip(self._names, parameters, strict=True))

    @torch.no_grad()
    def restore(self, state: AverageState) -> None:
        """Restore the raw weights of a model that was loaded with the average."""
        self._updates = state["updates"]
        for name, parameter in zip(self._names, self._parameters, strict=True):
            parameter.copy_(shard_like(state["weights"][name], parameter))

    @torch.no_grad()
    def _swap(self) -> None:
        """Swap by copying, one at a time: FSDP keeps references to a shard's storage."""
        for parameter, average in zip(self._parameters, self._average, strict=True):
            weight = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(weight)
