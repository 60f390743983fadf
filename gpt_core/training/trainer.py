"""The training loop: one optimizer step at a time, with resumable state.

A step is one optimizer update over ``micro_batches_per_step`` micro-batches, divided among the
run's processes. Nothing in a step synchronizes with the device; metrics are read from it when they
are logged.

Shapes: B batch, T time.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from gpt_core.callbacks import Callback
from gpt_core.config import PretrainConfig
from gpt_core.data import Batch, LoaderState, TokenLoader
from gpt_core.errors import DivergenceError
from gpt_core.evaluation import summed_loss
from gpt_core.execution.layout import Layout
from gpt_core.execution.precision import peak_flops
from gpt_core.execution.ranks import Ranks
from gpt_core.models import flops_per_token, perplexity
from gpt_core.optim.schedule import learning_rate_at
from gpt_core.training.health import Health, HealthState
from gpt_core.training.meter import Meter, MeterState
from gpt_core.training.prefetch import Prefetcher
from gpt_core.training.updates import Updates, UpdatesState

SECONDS = "seconds"
"""The metric of the time that training took. It is no part of a state: equal states of two runs
have equal bytes."""

_RANK_SEED_STRIDE = 1_000_003  # between the dropout seeds of neighbouring ranks
_MAX_SKIPPED = 20  # steps in a row: with more, the batch is not the cause


class TrainerState(TypedDict):
    """State of a ``Trainer``, without the weights and the sharded tensors of its updates."""

    step: int
    updates: UpdatesState
    loader_position: int
    loader_fingerprint: str
    rng: list[Tensor]
    """State of the CPU generator of each rank."""

    cuda_rng: list[Tensor] | None
    """State of the GPU generator of each rank, if training on GPUs."""

    numerics: dict[str, Any]
    """The fields of ``Numerics``."""

    meter: MeterState
    metrics: dict[str, float]
    """But the seconds."""

    health: HealthState
    best_loss: float
    evaluations_since_best: int
    skipped_steps: int
    skipped_in_a_row: int


class Trainer:
    """Trains one model; stopping between steps and resuming gives the same bits.

    Args:
        layout: The model on its device.
        config: With the model's vocabulary size filled in.
        loader: This rank's training batches.
        validation: Returns the validation batches of one evaluation; None without validation text.
        callbacks: Receive the metrics.
    """

    def __init__(
        self,
        layout: Layout,
        config: PretrainConfig,
        loader: TokenLoader,
        validation: Callable[[], Iterator[Batch]] | None,
        callbacks: Callback,
    ) -> None:
        self.layout, self.config = layout, config
        self.model, self.device, self.ranks = layout.model, layout.device, layout.ranks
        self.updates = Updates(layout, config)
        self.loader = Prefetcher(loader, self._to_gpu) if self._on_gpu else loader
        self.step = 0
        self.metrics: dict[str, float] = {}
        """The newest metrics, by their names in a checkpoint's manifest."""

        self._health = Health(config.training.spike_factor, self.device)
        self._meter = Meter(self.device)
        self._best_loss, self._evaluations_since_best = math.inf, 0
        self._skipped = self._skipped_in_a_row = 0
        self._validation, self._callbacks = validation, callbacks

    def train_step(self) -> None:
        """Do one optimizer update, or skip it if its loss is bad and the settings say so."""
        config = self.config
        peak, total = config.optimizer.learning_rate, config.training.steps
        learning_rate = learning_rate_at(self.step, config.schedule, peak=peak, total_steps=total)
        step_loss = self._backward()
        norm = self.updates.clip()
        self.step += 1
        bad = self._health.judge(self.step, step_loss, norm)
        logs = self.step % config.training.log_every == 0 or self.step == total
        update_ratio: Tensor | None = None
        if config.training.bad_step == "skip" and bool(bad):  # synchronizes with the device
            self._skip()
        else:
            update_ratio = self.updates.apply(learning_rate, measure=logs)
            self._meter.count(step_loss)
            self._skipped_in_a_row = 0
        self.updates.zero_grad()
        if logs:
            self._log(learning_rate, norm, update_ratio)

    def evaluate(self) -> None:
        """Compute the validation loss, with the averaged weights if there is an average."""
        if self._validation is None:
            return
        with self.exclude_time(), self.updates.use_average():
            loss = self._validation_loss(self._validation())
            self.metrics["validation_loss"] = loss
            is_best = loss < self._best_loss
            self._evaluations_since_best = 0 if is_best else self._evaluations_since_best + 1
            self._best_loss = min(loss, self._best_loss)
            metrics = {"validation/loss": loss, "validation/perplexity": perplexity(loss)}
            self._callbacks.on_metrics(self.step, metrics)

    @property
    def out_of_patience(self) -> bool:
        """Whether ``patience`` evaluations have passed without a new lowest validation loss."""
        patience = self.config.training.patience
        return patience is not None and self._evaluations_since_best >= patience

    def exclude_time(self) -> AbstractContextManager[None]:
        """Exclude the time spent in this block from the throughput."""
        return self._meter.exclude_time()

    def state(self) -> TrainerState:
        """State for ``restore``, without the weights and ``updates.sharded_state``. Collective."""
        position = self.loader.state()
        cuda_rng = self.ranks.all_gather(torch.cuda.get_rng_state()) if self._on_gpu else None
        return {
            "step": self.step,
            "updates": self.updates.state(),
            "loader_position": position.position,
            "loader_fingerprint": position.fingerprint,
            "rng": self.ranks.all_gather(torch.get_rng_state()),
            "cuda_rng": cuda_rng,
            "numerics": self.layout.numerics.to_dict(),
            "meter": self._meter.state(),
            "metrics": {name: v for name, v in self.metrics.items() if name != SECONDS},
            "health": self._health.state(),
            "best_loss": self._best_loss,
            "evaluations_since_best": self._evaluations_since_best,
            "skipped_steps": self._skipped,
            "skipped_in_a_row": self._skipped_in_a_row,
        }

    def restore(self, state: TrainerState, sharded_state: Path) -> None:
        """Restore a saved state.

        Args:
            state: From ``state``, saved by any number of processes.
            sharded_state: The folder with the saved ``updates.sharded_state``, if any.

        Raises:
            CheckpointError: If it belongs to other data, or cannot be read.
        """
        self.step = state["step"]
        self.updates.restore(state["updates"], sharded_state)
        self.loader.restore(LoaderState(state["loader_position"], state["loader_fingerprint"]))
        self._restore_rng(state["rng"], state["cuda_rng"])
        self._meter.restore(state["meter"])
        self.metrics = dict(state["metrics"])
        self._health.restore(state["health"])
        self._best_loss = state["best_loss"]
        self._evaluations_since_best = state["evaluations_since_best"]
        self._skipped = state["skipped_steps"]
        self._skipped_in_a_row = state["skipped_in_a_row"]

    def describe_bad_step(self) -> str | None:
        """Describe the first bad step and its sample range, or None. Synchronizes."""
        found = self._health.first_bad()
        if found is None:
            return None
        step, what = found
        per_step = self.config.training.micro_batch * self.config.micro_batches_per_step
        return (
            f"the loss of step {step} {what} (samples {(step - 1) * per_step} to "
            f"{step * per_step} of the data's order)"
        )

    def _backward(self) -> Tensor:
        """Accumulate one step's gradients; return the mean loss over micro-batches and ranks."""
        n_micro = self.config.micro_batches_of(self.ranks.size)
        step_loss = torch.zeros((), device=self.device)
        for i in range(n_micro):
            batch = self.loader.next_batch()
            with (
                self.layout.gradient_sync(enabled=i == n_micro - 1),
                self.layout.numerics.reproducible(self.device),
            ):
                with self.layout.numerics.context(self.device):
                    loss = self.layout.loss(batch.token_ids, batch.targets) / n_micro
                loss.backward()
            step_loss += loss.detach()
        return self.ranks.mean(step_loss)

    def _validation_loss(self, batches: Iterator[Batch]) -> float:
        """Mean loss over all ranks, each of which evaluates its rows of every batch."""
        with self.layout.numerics.context(self.device):
            total, count = summed_loss(self.model, batches, self.device)
        sums = self.ranks.sum(torch.tensor([total, count], dtype=torch.float64))
        return (sums[0] / sums[1]).item()

    def _restore_rng(self, cpu: list[Tensor], cuda: list[Tensor] | None) -> None:
        """Restore this rank's generators, or seed new ones if the number of ranks has changed."""
        if len(cpu) != self.ranks.size:
            seed_dropout(self.config.training.seed + self.step, self.ranks)
            return
        torch.set_rng_state(cpu[self.ranks.rank].cpu())
        if cuda is not None and self._on_gpu:
            torch.cuda.set_rng_state(cuda[self.ranks.rank].cpu())

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def _to_gpu(self, batch: Batch) -> Batch:
        with torch.cuda.device(self.device):  # a new thread starts on the first GPU
            return Batch(
                batch.token_ids.pin_memory().to(self.device, non_blocking=True),
                batch.targets.pin_memory().to(self.device, non_blocking=True),
            )

    def _skip(self) -> None:
        """Skip a bad step.

        Raises:
            DivergenceError: If so many were skipped that the batch cannot be the cause.
        """
        trouble = self.describe_bad_step()
        self._skipped, self._skipped_in_a_row = self._skipped + 1, self._skipped_in_a_row + 1
        if self._skipped_in_a_row > _MAX_SKIPPED:
            raise DivergenceError(
                f"{trouble}, like those of the {_MAX_SKIPPED} steps before it: lower "
                "optimizer.learning_rate"
            )
        self._health.reset()
        self._callbacks.on_notice(f"{trouble}: it is left out")

    def _log(self, learning_rate: float, norm: Tensor, update_ratio: Tensor | None) -> None:
        """Send the metrics of the steps since the last log line. Synchronizes with the device."""
        reading = self._meter.read()
        tokens_per_second = reading.steps_per_second * self.config.training.tokens_per_step
        metrics = {
            "train/loss": reading.loss,
            "train/learning_rate": learning_rate,
            "train/grad_norm": norm.item(),
            "train/update_ratio": math.nan if update_ratio is None else update_ratio.item(),
            "train/skipped_steps": float(self._skipped),
            "train/tokens_per_second": tokens_per_second,
            "train/tokens": float(self.step * self.config.training.tokens_per_step),
            "train/epoch": self.loader.epoch,
        }
        peak = peak_flops(self.device)
        if peak is not None:
            flops = tokens_per_second * flops_per_token(self.config.model)
            metrics["train/mfu"] = flops / (peak * self.ranks.size)
        if math.isfinite(reading.loss):
            self.metrics["train_loss"] = reading.loss
        self.metrics["tokens"] = metrics["train/tokens"]
        self.metrics[SECONDS] = self.metrics.get(SECONDS, 0.0) + reading.seconds
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self._callbacks.on_metrics(self.step, finite)


def seed_dropout(seed: int, ranks: Ranks) -> None:
    """Seed this process's generators, differently on each rank so that dropout masks differ."""
    torch.manual_seed(seed + _RANK_SEED_STRIDE * ranks.rank)
