"""The training loop.

A step is one optimizer update over ``micro_batches_per_step`` micro-batches, which the run's
processes share. Nothing in a step waits for the device; figures are read from it when they are
logged.

Shapes: B batch, T time.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from gpt_core.training.health import Health
from gpt_core.training.meter import Meter, Pause
from gpt_core.training.prefetch import Prefetcher
from gpt_core.training.updates import Updates

_RANKS_APART = 1_000_003  # seeds of neighbouring ranks
_MOST_SKIPPED = 20  # steps in a row: then it is not the batch


class Trainer:
    """Trains one model and can be stopped and resumed to the bit between any two steps.

    Args:
        layout: The model, where it is trained.
        config: With the model's vocabulary size filled in.
        loader: The training batches of this process.
        validation: Gives the validation batches afresh, or None when there is no such text.
        callbacks: Told of figures.
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
        """The newest figures, under the names that a checkpoint's manifest has."""

        self._health = Health(config.training.spike_factor, self.device)
        self._meter = Meter(self.device)
        self._best, self._since_best = math.inf, 0  # validation loss, evaluations
        self._skipped = self._skipped_in_a_row = 0
        self._validation, self._callbacks = validation, callbacks

    def train_step(self) -> None:
        """One optimizer update."""
        config = self.config
        peak, total = config.optimizer.learning_rate, config.training.steps
        rate = learning_rate_at(self.step, config.schedule, peak=peak, total_steps=total)
        step_loss = self._gradients()
        norm = self.updates.clip()
        self.step += 1
        bad = self._health.judge(self.step, step_loss, norm)
        logs = self.step % config.training.log_every == 0 or self.step == total
        if config.training.bad_step == "skip" and bool(bad):  # this waits for the device
            self._skip()
            ratio = None
        else:
            ratio = self.updates.apply(rate, measured=logs)
            self._meter.count(step_loss)
            self._skipped_in_a_row = 0
        self.updates.forget_gradients()
        if logs:
            self._log(rate, norm, ratio)

    def evaluate(self) -> None:
        """Loss on the validation text, if there is any."""
        if self._validation is None:
            return
        with self.untimed(), self.updates.averaged():
            loss = self._validation_loss(self._validation())
            self.metrics["validation_loss"] = loss
            self._since_best = 0 if loss < self._best else self._since_best + 1
            self._best = min(loss, self._best)
            figures = {"validation/loss": loss, "validation/perplexity": perplexity(loss)}
            self._callbacks.on_metrics(self.step, figures)

    @property
    def gives_up(self) -> bool:
        """Whether the validation loss has not fallen for as long as the run has patience."""
        patience = self.config.training.patience
        return patience is not None and self._since_best >= patience

    def state(self) -> dict[str, Any]:
        """All but the weights and ``updates.shares`` that is needed to go on to the same bits."""
        position = self.loader.state()
        return {
            "step": self.step,
            "updates": self.updates.state(),
            "loader": {"position": position.position, "fingerprint": position.fingerprint},
            "rng": self.ranks.gathered(torch.get_rng_state()),
            "cuda_rng": self.ranks.gathered(torch.cuda.get_rng_state()) if self._on_gpu else None,
            "computing": asdict(self.layout.computing),
            "meter": self._meter.state(),
            "metrics": dict(self.metrics),
            "health": self._health.state(),
            "best": [self._best, self._since_best],
            "skipped": [self._skipped, self._skipped_in_a_row],
        }

    def restore(self, state: dict[str, Any], shares: Path) -> None:
        """Go on from a saved state.

        Args:
            state: Of ``state``, by any number of processes.
            shares: The folder with what was saved of ``updates.shares``, if anything was.

        Raises:
            CheckpointError: If it belongs to other data, or cannot be read.
        """
        self.step = state["step"]
        self.updates.restore(state["updates"], shares)
        self.loader.restore(LoaderState(**state["loader"]))
        self._restore_generators(state["rng"], state["cuda_rng"])
        self._meter.restore(state["meter"])
        self.metrics = dict(state["metrics"])
        self._health.restore(state["health"])
        self._best, self._since_best = state["best"]
        self._skipped, self._skipped_in_a_row = state["skipped"]

    def trouble(self) -> str | None:
        """What is wrong with the first bad step, with its place in the data; it waits."""
        found = self._health.first_bad()
        if found is None:
            return None
        step, what = found
        per_step = self.config.training.micro_batch * self.config.micro_batches_per_step
        return (
            f"the loss of step {step} {what} (samples {(step - 1) * per_step} to "
            f"{step * per_step} of the data's order)"
        )

    def _gradients(self) -> Tensor:
        """Those of one step; its mean loss, a scalar."""
        n_micro = self.config.micro_batches_of(self.ranks.size)
        step_loss = torch.zeros((), device=self.device)
        for i in range(n_micro):
            batch = self.loader.next_batch()
            with self.layout.accumulating(last=i == n_micro - 1):
                with self.layout.computing.on(self.device):
                    loss = self.layout.loss(batch.token_ids, batch.targets) / n_micro
                loss.backward()
            step_loss += loss.detach()
        return self.ranks.mean(step_loss)

    def _validation_loss(self, batches: Iterator[Batch]) -> float:
        """The mean over all ranks, each of which has its rows of every batch."""
        with self.layout.computing.on(self.device):
            total, count = summed_loss(self.model, batches, self.device)
        sums = self.ranks.sum(torch.tensor([total, count], dtype=torch.float64))
        return (sums[0] / sums[1]).item()

    def _restore_generators(self, cpu: list[Tensor], cuda: list[Tensor] | None) -> None:
        """Each rank's own; another number of ranks begins new ones."""
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
        with torch.cuda.device(self.device):  # a thread begins with the first GPU
            return Batch(
                batch.token_ids.pin_memory().to(self.device, non_blocking=True),
                batch.targets.pin_memory().to(self.device, non_blocking=True),
            )

    def _skip(self) -> None:
        """Leave a bad step's batch out.

        Raises:
            DivergenceError: If so many were left out that it is not for the batch.
        """
        trouble = self.trouble()
        self._skipped, self._skipped_in_a_row = self._skipped + 1, self._skipped_in_a_row + 1
        if self._skipped_in_a_row > _MOST_SKIPPED:
            raise DivergenceError(
                f"{trouble}, like those of the {_MOST_SKIPPED} steps before it: lower "
                "optimizer.learning_rate"
            )
        self._health.forget()
        self._callbacks.on_notice(f"{trouble}: it is left out")

    def _log(self, learning_rate: float, norm: Tensor, update_ratio: Tensor | None) -> None:
        loss, seconds, steps_a_second = self._meter.read()
        rate = steps_a_second * self.config.training.tokens_per_step
        figures = {
            "train/loss": loss,
            "train/learning_rate": learning_rate,
            "train/grad_norm": norm.item(),
            "train/update_ratio": math.nan if update_ratio is None else update_ratio.item(),
            "train/skipped_steps": float(self._skipped),
            "train/tokens_per_second": rate,
            "train/tokens": float(self.step * self.config.training.tokens_per_step),
            "train/epoch": self.loader.epoch,
        }
        peak = peak_flops(self.device)
        if peak is not None:
            needed = rate * flops_per_token(self.config.model)
            figures["train/mfu"] = needed / (peak * self.ranks.size)
        if math.isfinite(loss):
            self.metrics["train_loss"] = loss
        self.metrics["tokens"] = figures["train/tokens"]
        self.metrics["seconds"] = self.metrics.get("seconds", 0.0) + seconds
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        self._callbacks.on_metrics(self.step, finite)

    def untimed(self) -> Pause:
        """What is done inside does not count as training time."""
        return self._meter.pause()


def seed_dropout(seed: int, ranks: Ranks) -> None:
    """Begin the generators of this process; each rank drops other elements."""
    torch.manual_seed(seed + _RANKS_APART * ranks.rank)
