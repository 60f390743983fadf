"""A running mean of a model's weights, which is often better than the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gpt_core.execution.layout import share_like

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
        self._names = [name for name, _ in model.named_parameters()]
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

    def state(self, shared: bool = False) -> dict[str, Any]:
        """What ``restore`` needs: the weights themselves, for a checkpoint's are the average.

        Args:
            shared: Leave them out; they are saved in shares.
        """
        return {"updates": self._updates, "weights": {} if shared else self.own_weights()}

    def own_weights(self) -> dict[str, Tensor]:
        """The weights of the last step, by name."""
        parameters = (parameter.detach() for parameter in self._parameters)
        return dict(zip(self._names, parameters, strict=True))

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Give a model that was loaded with the average its own weights back."""
        self._updates = state["updates"]
        for name, parameter in zip(self._names, self._parameters, strict=True):
            parameter.copy_(share_like(state["weights"][name], parameter))

    @torch.no_grad()
    def _swap(self) -> None:
        """By copying, one at a time: a share's place in memory is known to torch's engine."""
        for parameter, average in zip(self._parameters, self._average, strict=True):
            weight = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(weight)
