"""What changes the weights at a step's end: clipping, the optimizer, the running mean."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpt_core.config import PretrainConfig
from gpt_core.execution.layout import Layout, whole
from gpt_core.optim.averaging import WeightAverage
from gpt_core.optim.optimizer import build_optimizer


class Updates:
    """Changes a model's weights, and can be stopped and gone on with between two changes.

    Args:
        layout: The model, where it is trained.
        config: Optimizer and running mean.
    """

    def __init__(self, layout: Layout, config: PretrainConfig) -> None:
        self._model, self._shared = layout.model, layout.shared
        self._limit = config.optimizer.max_grad_norm
        self._optimizer = build_optimizer(self._model, config.optimizer)
        decay = config.training.ema_decay
        self._average = None if decay is None else WeightAverage(self._model, decay)

    def clip(self) -> Tensor:
        """Scale the gradients down to the greatest norm that is allowed.

        Returns:
            The norm before that, a scalar.
        """
        limit = math.inf if self._limit is None else self._limit
        return whole(torch.nn.utils.clip_grad_norm_(self._model.parameters(), limit))

    def apply(self, learning_rate: float, *, measured: bool) -> Tensor | None:
        """Change the weights.

        Args:
            learning_rate: Of this step.
            measured: Whether to tell how much they change.

        Returns:
            The norm of the change as a share of that of the weights, a scalar, if it is asked for.
        """
        parameters = [parameter.detach() for parameter in self._model.parameters()]
        before = [parameter.clone() for parameter in parameters] if measured else []
        self._optimizer.set_learning_rate(learning_rate)
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        if not measured:
            return None
        change = torch._foreach_sub(parameters, before)
        return _norm(change) / _norm(before)

    def forget_gradients(self) -> None:
        """Free the gradients for the next step."""
        self._optimizer.zero_grad()

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the model has the weights that are evaluated and saved."""
        return nullcontext() if self._average is None else self._average.in_place()

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs, but for what ``shares`` has."""
        average = None if self._average is None else self._average.state(self._shared)
        optimizer = None if self._shared else self._optimizer.state_dict()
        return {"optimizer": optimizer, "average": average}

    def shares(self) -> dict[str, Tensor]:
        """The part of the state of which every process has a share; none if each has all of it."""
        if not self._shared:
            return {}
        own = {} if self._average is None else self._average.own_weights()
        return {**_under("optimizer", self._optimizer.tensors()), **_under("own", own)}

    def restore(self, state: Mapping[str, Any], folder: Path) -> None:
        """Go on from a saved state.

        Args:
            state: Of ``state``, by any number of processes.
            folder: With what was saved of ``shares``, if anything was.

        Raises:
            CheckpointError: If the folder cannot be read.
        """
        average = state["average"]
        if state["optimizer"] is not None:
            self._optimizer.load_state_dict(state["optimizer"])
        else:
            from gpt_core.execution.fsdp import load_shares  # what it needs is slow to import

            loaded = load_shares(folder, self._empty)
            self._optimizer.take(_without("optimizer", loaded))
            average = {**(average or {}), "weights": _without("own", loaded)}
        if self._average is not None:
            self._average.restore(average)

    def _empty(self, name: str, shape: Sequence[int]) -> Tensor:
        """The place for a saved tensor, laid out as it is needed here."""
        owner, _, rest = name.partition(".")
        if owner == "optimizer":
            return self._optimizer.like(rest, shape)
        return torch.zeros_like(self._model.get_parameter(rest))


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """The norm of all values together."""
    return whole(torch.stack(torch._foreach_norm(tensors)).norm())


def _under(owner: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{owner}.{name}": tensor for name, tensor in tensors.items()}


def _without(owner: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of one owner, by the names they have there."""
    start = f"{owner}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
