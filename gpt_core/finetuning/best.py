"""The best epoch of a fine-tune by a validation metric, and the patience that it ends by."""

from collections.abc import Mapping
from typing import TypedDict

import torch
from torch import Tensor, nn


class BestState(TypedDict):
    """State of a ``BestEpoch``."""

    rank: list[float] | None
    metrics: dict[str, float]
    weights: dict[str, Tensor]
    epochs_since: int


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name, without a copy."""
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the parameters of these names."""
    with torch.no_grad():
        for name, value in weights.items():
            model.get_parameter(name).copy_(value)


class BestEpoch:
    """Keeps the metrics and the trained weights of the best epoch so far.

    Args:
        choose_by: ``loss``, the lower the better, or another metric, the higher the better,
            where the loss decides between equal values.
        patience: Epochs without a better one after which training ends; None never.
    """

    def __init__(self, choose_by: str, patience: int | None) -> None:
        self._choose_by, self._patience = choose_by, patience
        self._rank: tuple[float, float] | None = None
        self._weights: dict[str, Tensor] = {}
        self._epochs_since = 0
        self.metrics: dict[str, float] = {}
        """The best epoch and its validation metrics; empty before one was offered."""

    def offer(self, epoch: int, metrics: Mapping[str, float], model: nn.Module) -> None:
        """Keep an epoch if it is the best so far.

        Args:
            epoch: Counted from 1.
            metrics: On the validation split; empty if there is none.
            model: The model after the epoch.
        """
        if not metrics:
            return
        chosen = -metrics["loss"] if self._choose_by == "loss" else metrics.get(self._choose_by, 0)
        rank = (float(chosen), -metrics["loss"])
        self._epochs_since += 1
        if self._rank is not None and rank <= self._rank:
            return
        self._rank, self._epochs_since = rank, 0
        self._weights = {name: value.clone() for name, value in trained_weights(model).items()}
        kept = {f"validation_{name}": value for name, value in metrics.items()}
        self.metrics = {**kept, "best_epoch": float(epoch)}

    @property
    def out_of_patience(self) -> bool:
        """Whether ``patience`` epochs have passed without a better one."""
        return self._patience is not None and self._epochs_since >= self._patience

    def put_back(self, model: nn.Module) -> None:
        """Give a model the best epoch's weights, if there is one."""
        set_weights(model, self._weights)

    def state(self) -> BestState:
        """State for ``restore``."""
        return {
            "rank": None if self._rank is None else list(self._rank),
            "metrics": self.metrics,
            "weights": self._weights,
            "epochs_since": self._epochs_since,
        }

    def restore(self, state: BestState) -> None:
        """Restore a saved state."""
        rank = state["rank"]
        self._rank = None if rank is None else (rank[0], rank[1])
        self.metrics, self._weights = dict(state["metrics"]), dict(state["weights"])
        self._epochs_since = state["epochs_since"]
