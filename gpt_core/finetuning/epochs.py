"""The training loop of both fine-tunes: epochs over examples in memory, best epoch kept."""

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from gpt_core.callbacks import Callback, RunInfo
from gpt_core.config import FinetuningConfig, OptimizerConfig, ScheduleConfig
from gpt_core.errors import DivergenceError
from gpt_core.execution import autocast, resolve_precision
from gpt_core.execution.cpu import prepare_cpu
from gpt_core.models import evaluating
from gpt_core.optim import build_optimizer, learning_rate_at

E = TypeVar("E")
_WARMUP_FRACTION = 0.1
_MAX_GRAD_NORM = 1.0
_LOG_EVERY = 10  # steps
_POOL_BATCHES = 8  # examples are sorted by length within pools of so many batches


class Objective(ABC, Generic[E]):
    """The loss to minimize and the metrics that choose the best epoch."""

    @abstractmethod
    def loss(self, examples: Sequence[E]) -> Tensor:
        """Mean loss of a batch, in nats."""

    @abstractmethod
    def score(self) -> dict[str, float]:
        """Metrics on the validation split: ``loss`` and maybe ``accuracy``; none if it is empty."""

    @abstractmethod
    def size(self, example: E) -> int:
        """Number of tokens in an example."""


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators for the block; restore their states afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def draw_batches(sizes: Sequence[int], batch_size: int, rng: random.Random) -> list[list[int]]:
    """Batch every example once, at random but with similar lengths, so that little is padding.

    Shuffled examples are sorted by length within pools of some batches; then the batches are
    shuffled.

    Args:
        sizes: Number of tokens of each example.
        batch_size: Examples in a batch; the last one of a pool may have fewer.
        rng: Source of randomness.

    Returns:
        Indices of the examples of each batch.
    """
    order = rng.sample(range(len(sizes)), len(sizes))
    pool = batch_size * _POOL_BATCHES
    batches = []
    for start in range(0, len(order), pool):
        chosen = sorted(order[start : start + pool], key=sizes.__getitem__)
        batches += [chosen[i : i + batch_size] for i in range(0, len(chosen), batch_size)]
    rng.shuffle(batches)
    return batches


class EpochLoop(Generic[E]):
    """Trains a model and leaves the best epoch's weights in it.

    The best epoch has the highest accuracy on the validation split, or the lowest loss if
    accuracies are equal or there are none; without a validation split it is the last one.

    Args:
        model: The model, on its device; parameters that require gradients are trained.
        objective: The loss and the validation metrics.
        config: Epochs, batch size, learning rate and seed.
        callbacks: Receives losses and validation metrics.
        out_dir: Directory of the result, passed to the callbacks.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective[E],
        config: FinetuningConfig,
        callbacks: Callback,
        out_dir: Path,
    ) -> None:
        self.model, self.objective, self.config = model, objective, config
        self.callbacks, self.out_dir = callbacks, out_dir
        self.device = next(model.parameters()).device
        self.precision = resolve_precision(config.precision, self.device)
        prepare_cpu(self.device)
        rates = OptimizerConfig(
            learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer = build_optimizer(model, rates)
        self.step = 0
        self._best: tuple[tuple[float, float], dict[str, Tensor]] | None = None
        self._loss_sum = torch.zeros((), device=self.device)
        self._bad = torch.zeros((), dtype=torch.bool, device=self.device)
        self._logged, self._tokens, self._clock = 0, 0, time.perf_counter()

    def run(self, examples: Sequence[E]) -> dict[str, float]:
        """Train.

        Args:
            examples: The training split.

        Returns:
            The best epoch and its metrics on the validation split; none if that is empty.

        Raises:
            DivergenceError: If a loss or a gradient is no longer a number.
        """
        sizes = [self.objective.size(example) for example in examples]
        total = -(-len(examples) // self.config.batch_size) * self.config.epochs
        schedule = ScheduleConfig(
            kind="linear", warmup_steps=int(total * _WARMUP_FRACTION), final_ratio=0.0
        )
        self._announce(total, sum(sizes) * self.config.epochs // total)
        rng = random.Random(self.config.seed)
        best: dict[str, float] = {}
        self.model.train()
        for epoch in range(1, self.config.epochs + 1):
            for batch in draw_batches(sizes, self.config.batch_size, rng):
                rate = learning_rate_at(
                    self.step, schedule, peak=self.config.learning_rate, total_steps=total
                )
                self._tokens += sum(sizes[i] for i in batch)
                self._train([examples[i] for i in batch], rate)
                if self.step % _LOG_EVERY == 0 or self.step == total:
                    self._log(rate, epoch)
            best = self._validate(epoch, best)
        self._restore()
        self.model.eval()
        self.callbacks.on_end(self.step)
        return best

    def _announce(self, total_steps: int, tokens_per_step: int) -> None:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.callbacks.on_start(
            RunInfo(
                total_steps=total_steps,
                first_step=0,
                tokens_per_step=tokens_per_step,
                n_parameters=sum(parameter.numel() for parameter in trained),
                device=str(self.device),
                precision=self.precision,
                out_dir=self.out_dir,
            )
        )
        self._clock = time.perf_counter()

    def _train(self, batch: Sequence[E], learning_rate: float) -> None:
        """One update, without synchronizing with the device."""
        self.optimizer.set_learning_rate(learning_rate)
        with autocast(self.device, self.precision):
            loss = self.objective.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_GRAD_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self._loss_sum += loss.detach()
        self._bad |= ~(torch.isfinite(loss) & torch.isfinite(norm))
        self._logged += 1

    def _log(self, learning_rate: float, epoch: int) -> None:
        if self._bad.item():
            raise DivergenceError(
                f"the loss of fine-tuning is not a number by step {self.step}: lower the learning "
                f"rate, which is {self.config.learning_rate}"
            )
        now = time.perf_counter()
        metrics = {
            "train/loss": self._loss_sum.item() / self._logged,
            "train/learning_rate": learning_rate,
            "train/tokens_per_second": self._tokens / max(1e-9, now - self._clock),
            "train/epoch": float(epoch),
        }
        self._loss_sum.zero_()
        self._logged, self._tokens, self._clock = 0, 0, now
        self.callbacks.on_metrics(self.step, metrics)

    def _validate(self, epoch: int, best: dict[str, float]) -> dict[str, float]:
        """Score an epoch; keep its weights if it is the best so far. Returns the best's metrics."""
        started = time.perf_counter()
        with evaluating(self.model):
            metrics = self.objective.score()
        self._clock += time.perf_counter() - started
        if not metrics:
            return {}
        named = {f"validation/{name}": value for name, value in metrics.items()}
        self.callbacks.on_metrics(self.step, named)
        rank = (metrics.get("accuracy", 0.0), -metrics["loss"])
        if self._best is not None and rank <= self._best[0]:
            return best
        self._best = (rank, {n: p.detach().clone() for n, p in self._trained()})
        kept = {f"validation_{name}": value for name, value in metrics.items()}
        return {**kept, "best_epoch": float(epoch)}

    def _restore(self) -> None:
        if self._best is not None:
            with torch.no_grad():
                for name, parameter in self._trained():
                    parameter.copy_(self._best[1][name])

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)
