"""Weight updates at the end of a step: gradient clipping, the optimizer, the weight average."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from gpt_core.config import PretrainConfig
from gpt_core.execution.layout import Layout, gather_full
from gpt_core.optim.averaging import AverageState, WeightAverage
from gpt_core.optim.optimizer import OptimizersState, build_optimizer


class UpdatesState(TypedDict):
    """State of ``Updates``, without its sharded tensors."""

    optimizer: OptimizersState | None
    """None if it is saved as shards."""

    average: AverageState | None


class Updates:
    """The optimizer and the weight average of a model, with resumable state.

    Args:
        layout: The model on its device.
        config: Optimizer and weight average.
    """

    def __init__(self, layout: Layout, config: PretrainConfig) -> None:
        self._model, self._sharded = layout.model, layout.is_sharded
        self._max_norm = config.optimizer.max_grad_norm
        self._optimizer = build_optimizer(self._model, config.optimizer)
        decay = config.training.ema_decay
        self._average = None if decay is None else WeightAverage(self._model, decay)

    def clip(self) -> Tensor:
        """Clip the gradients to the maximum norm.

        Returns:
            The norm before clipping, a scalar.
        """
        max_norm = math.inf if self._max_norm is None else self._max_norm
        return gather_full(torch.nn.utils.clip_grad_norm_(self._model.parameters(), max_norm))

    def apply(self, learning_rate: float, *, measure: bool) -> Tensor | None:
        """Update the weights and their average.

        Args:
            learning_rate: Of this step.
            measure: Whether to compute the size of the update.

        Returns:
            The norm of the update divided by that of the weights, a scalar, if measured.
        """
        parameters = [parameter.detach() for parameter in self._model.parameters()]
        before = [parameter.clone() for parameter in parameters] if measure else []
        self._optimizer.set_learning_rate(learning_rate)
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        if not measure:
            return None
        change = torch._foreach_sub(parameters, before)
        return _norm(change) / _norm(before)

    def zero_grad(self) -> None:
        """Free the gradients."""
        self._optimizer.zero_grad()

    def use_average(self) -> AbstractContextManager[None]:
        """Context in which the model has the weights to evaluate and save."""
        return nullcontext() if self._average is None else self._average.use_average()

    def state(self) -> UpdatesState:
        """State for ``restore``, without the tensors of ``sharded_state``."""
        average = None if self._average is None else self._average.state(sharded=self._sharded)
        optimizer = None if self._sharded else self._optimizer.state_dict()
        return {"optimizer": optimizer, "average": average}

    def sharded_state(self) -> dict[str, Tensor]:
        """The sharded tensors of the state; empty unless the model is sharded."""
        if not self._sharded:
            return {}
        raw = {} if self._average is None else self._average.raw_weights()
        return {
            **_add_prefix("optimizer", self._optimizer.tensors()),
            **_add_prefix("raw_weights", raw),
        }

    def restore(self, state: UpdatesState, sharded_state: Path) -> None:
        """Restore a saved state.

        Args:
            state: From ``state``, saved by any number of processes.
            sharded_state: The folder with the saved tensors of ``sharded_state``, if any.

        Raises:
            CheckpointError: If the folder cannot be read.
        """
        average = state["average"]
        if state["optimizer"] is not None:
            self._optimizer.load_state_dict(state["optimizer"])
        else:
            from gpt_core.execution.fsdp import load_sharded_state  # slow to import

            tensors = load_sharded_state(sharded_state, self._allocate)
            self._optimizer.load_tensors(_select_prefix("optimizer", tensors))
            if average is not None:
                average = {**average, "weights": _select_prefix("raw_weights", tensors)}
        if self._average is not None and average is not None:
            self._average.restore(average)

    def _allocate(self, name: str, shape: Sequence[int]) -> Tensor:
        """Allocate an empty tensor, sharded like the parameter it belongs to."""
        owner, _, rest = name.partition(".")
        if owner == "optimizer":
            return self._optimizer.empty_like(rest, shape)
        return torch.zeros_like(self._model.get_parameter(rest))


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """The norm of all tensors' elements together."""
    return gather_full(torch.stack(torch._foreach_norm(tensors)).norm())


def _add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _select_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the tensors under a prefix and strip it."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
