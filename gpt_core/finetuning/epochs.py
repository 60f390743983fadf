"""The loop that both fine-tunes share: epochs over a list of examples in memory."""

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gpt_core.config import OptimizerConfig, ScheduleConfig
from gpt_core.errors import DivergenceError
from gpt_core.training import Callback, build_optimizer, learning_rate_at, set_learning_rate

_WARMUP_SHARE = 0.1
_LOG_EVERY = 10  # steps


@dataclass(slots=True)
class EpochLoop:
    """Trains a model on batches of examples and keeps the best epoch's weights.

    The best epoch is the one with the highest score on the validation part.
    """

    model: nn.Module
    loss_of: Callable[[Sequence[Any]], Tensor]
    """The mean loss of a batch of examples."""

    score_of: Callable[[], dict[str, float]]
    """Figures on the validation part; the first one decides."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    callbacks: Callback
    step: int = 0
    _best: tuple[float, dict[str, Tensor]] | None = field(default=None)

    def run(self, examples: Sequence[Any]) -> dict[str, float]:
        """Train and leave the best epoch's weights in the model.

        Args:
            examples: The training part.

        Returns:
            The best epoch's figures on the validation part.

        Raises:
            DivergenceError: If the loss is no longer a number.
        """
        optimizer = build_optimizer(
            self.model,
            OptimizerConfig(learning_rate=self.learning_rate, weight_decay=self.weight_decay),
        )
        per_epoch = -(-len(examples) // self.batch_size)
        total = per_epoch * self.epochs
        schedule = ScheduleConfig(
            kind="linear", warmup_steps=int(total * _WARMUP_SHARE), final_ratio=0.0
        )
        draw = random.Random(self.seed)
        best: dict[str, float] = {}
        for epoch in range(self.epochs):
            self.model.train()
            order = draw.sample(range(len(examples)), len(examples))
            for start in range(0, len(order), self.batch_size):
                rate = learning_rate_at(
                    self.step, schedule, peak=self.learning_rate, total_steps=total
                )
                set_learning_rate(optimizer, rate)
                self._step([examples[i] for i in order[start : start + self.batch_size]], optimizer)
            figures = self.score_of()
            named = {f"validation/{name}": value for name, value in figures.items()}
            self.callbacks.on_metrics(self.step, {**named, "train/epoch": float(epoch + 1)})
            if self._keep_if_best(next(iter(figures.values()))):
                best = figures
        if self._best is not None:
            self.model.load_state_dict(self._best[1])
        return best

    def _step(self, batch: Sequence[Any], optimizer: torch.optim.Optimizer) -> None:
        loss = self.loss_of(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()
        self.step += 1
        if self.step % _LOG_EVERY == 0:
            value = loss.item()
            if value != value:
                raise DivergenceError(
                    f"the loss of fine-tuning step {self.step} is not a number: lower the "
                    "learning rate"
                )
            self.callbacks.on_metrics(self.step, {"train/loss": value})

    def _keep_if_best(self, score: float) -> bool:
        if self._best is not None and score <= self._best[0]:
            return False
        self._best = (score, copy.deepcopy(self.model.state_dict()))
        return True
