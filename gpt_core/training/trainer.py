"""The training loop.

A step is one optimizer update over ``micro_batches_per_step`` micro-batches. Nothing in a step
waits for the device; figures are read from it when they are logged.

Shapes: B batch, T time.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from gpt_core.config import PretrainConfig
from gpt_core.data import Batch, LoaderState, TokenLoader
from gpt_core.errors import DivergenceError
from gpt_core.evaluation import token_loss
from gpt_core.models import GPT, flops_per_token, model_loss
from gpt_core.training.averaging import WeightAverage
from gpt_core.training.callbacks import Callback
from gpt_core.training.health import Health
from gpt_core.training.optimizer import build_optimizer
from gpt_core.training.precision import autocast, peak_flops, resolve_precision
from gpt_core.training.schedule import learning_rate_at

_MOST_SKIPPED = 20  # steps in a row: then it is not the batch


class Trainer:
    """Trains one model and can be stopped and resumed to the bit between any two steps.

    Args:
        model: On its device.
        config: With the model's vocabulary size filled in.
        loader: The training batches.
        validation: Gives the validation batches afresh, or None when there is no such text.
        callbacks: Told of figures.
    """

    def __init__(
        self,
        model: GPT,
        config: PretrainConfig,
        loader: TokenLoader,
        validation: Callable[[], Iterator[Batch]] | None,
        callbacks: Callback,
    ) -> None:
        self.model, self.config, self.loader = model, config, loader
        self.device = model.wte.weight.device
        self.precision = resolve_precision(config.training.precision, self.device)
        self.optimizer = build_optimizer(model, config.optimizer)
        self.step = 0
        self.metrics: dict[str, float] = {}
        """The newest figures, under the names that a checkpoint's manifest has."""

        training = config.training
        self._health = Health(training.spike_factor, self.device)
        decay = training.ema_decay
        self._average = None if decay is None else WeightAverage(model, decay)
        self._best, self._since_best = math.inf, 0  # validation loss, evaluations
        self._skipped = self._skipped_in_a_row = 0
        self._validation, self._callbacks = validation, callbacks
        self._loss_sum = torch.zeros((), device=self.device)
        self._summed_steps = 0
        self._timed_steps = 0  # those of the sum that this process has done
        self._clock = time.perf_counter()
        wanted = training.compile
        compiled = wanted == "on" or (wanted == "auto" and self.device.type == "cuda")
        self._loss: Callable[[Tensor, Tensor], Tensor] = self._micro_loss
        if compiled:
            self._loss = torch.compile(self._micro_loss)

    def train_step(self) -> None:
        """One optimizer update."""
        config = self.config
        peak, total = config.optimizer.learning_rate, config.training.steps
        rate = learning_rate_at(self.step, config.schedule, peak=peak, total_steps=total)
        self.optimizer.set_learning_rate(rate)
        n_micro = config.micro_batches_per_step
        step_loss = torch.zeros((), device=self.device)
        for _ in range(n_micro):
            batch = self._to_device(self.loader.next_batch())
            loss = self._loss(batch.token_ids, batch.targets) / n_micro
            loss.backward()  # type: ignore[no-untyped-call]
            step_loss += loss.detach()
        norm = self._clip()
        self.step += 1
        bad = self._health.judge(self.step, step_loss, norm)
        logs = self.step % config.training.log_every == 0 or self.step == total
        if config.training.bad_step == "skip" and bool(bad):  # this waits for the device
            self._skip()
            ratio = None
        else:
            ratio = self._update(measured=logs)
            self._note(step_loss)
        self.optimizer.zero_grad()
        if logs:
            self._log(rate, norm, ratio)

    def evaluate(self) -> None:
        """Loss on the validation text, if there is any."""
        if self._validation is None:
            return
        with self.untimed(), self.averaged():
            with autocast(self.device, self.precision):
                loss, _ = token_loss(self.model, self._validation(), self.device)
            self.metrics["validation_loss"] = loss
            self._since_best = 0 if loss < self._best else self._since_best + 1
            self._best = min(loss, self._best)
            perplexity = math.exp(min(loss, 700.0))
            figures = {"validation/loss": loss, "validation/perplexity": perplexity}
            self._callbacks.on_metrics(self.step, figures)

    @property
    def gives_up(self) -> bool:
        """Whether the validation loss has not fallen for as long as the run has patience."""
        patience = self.config.training.patience
        return patience is not None and self._since_best >= patience

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the model has the weights that are evaluated and saved."""
        return nullcontext() if self._average is None else self._average.in_place()

    def state(self) -> dict[str, Any]:
        """All but the weights that is needed to go on to the same bits."""
        position = self.loader.state()
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "loader": {"position": position.position, "fingerprint": position.fingerprint},
            "rng": torch.get_rng_state(),
            "cuda_rng": cuda,
            "precision": self.precision,
            "loss_sum": self._loss_sum,
            "summed_steps": self._summed_steps,
            "metrics": dict(self.metrics),
            "health": self._health.state(),
            "average": None if self._average is None else self._average.state(),
            "best": [self._best, self._since_best],
            "skipped": [self._skipped, self._skipped_in_a_row],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, in the precision in which it was reached.

        Raises:
            CheckpointError: If it belongs to other data.
        """
        self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.loader.restore(LoaderState(**state["loader"]))
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.device)
        self.precision = state["precision"]
        self._loss_sum = state["loss_sum"].to(self.device)
        self._summed_steps = state["summed_steps"]
        self.metrics = dict(state["metrics"])
        self._health.restore(state["health"])
        if self._average is not None:
            self._average.restore(state["average"])
        self._best, self._since_best = state["best"]
        self._skipped, self._skipped_in_a_row = state["skipped"]
        self._clock = time.perf_counter()

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

    def _micro_loss(self, token_ids: Tensor, targets: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            return model_loss(self.model, token_ids, targets)

    def _to_device(self, batch: Batch) -> Batch:
        if self.device.type == "cpu":
            return batch
        return Batch(
            batch.token_ids.pin_memory().to(self.device, non_blocking=True),
            batch.targets.pin_memory().to(self.device, non_blocking=True),
        )

    def _clip(self) -> Tensor:
        limit = self.config.optimizer.max_grad_norm
        return torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), math.inf if limit is None else limit
        )

    def _update(self, *, measured: bool) -> Tensor | None:
        """Change the weights; if measured, say by which share of their size."""
        parameters = [parameter.detach() for parameter in self.model.parameters()]
        before = [parameter.clone() for parameter in parameters] if measured else []
        self.optimizer.step()
        if self._average is not None:
            self._average.update()
        if not measured:
            return None
        change = torch._foreach_sub(parameters, before)
        return _norm(change) / _norm(before)

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

    def _note(self, loss: Tensor) -> None:
        """Count a step without waiting for the device."""
        self._loss_sum += loss
        self._summed_steps += 1
        self._timed_steps += 1
        self._skipped_in_a_row = 0

    def _log(self, learning_rate: float, norm: Tensor, update_ratio: Tensor | None) -> None:
        loss = self._loss_sum.item() / self._summed_steps if self._summed_steps else math.nan
        now = time.perf_counter()
        seconds = now - self._clock
        tokens = self._timed_steps * self.config.training.tokens_per_step
        figures = {
            "train/loss": loss,
            "train/learning_rate": learning_rate,
            "train/grad_norm": norm.item(),
            "train/update_ratio": math.nan if update_ratio is None else update_ratio.item(),
            "train/skipped_steps": float(self._skipped),
            "train/tokens_per_second": tokens / max(seconds, 1e-9),
            "train/tokens": float(self.step * self.config.training.tokens_per_step),
            "train/epoch": self.loader.epoch,
        }
        peak = peak_flops(self.device)
        if peak is not None:
            rate = figures["train/tokens_per_second"]
            figures["train/mfu"] = rate * flops_per_token(self.config.model) / peak
        if math.isfinite(loss):
            self.metrics["train_loss"] = loss
        self.metrics["tokens"] = figures["train/tokens"]
        self.metrics["seconds"] = self.metrics.get("seconds", 0.0) + seconds
        self._loss_sum.zero_()
        self._summed_steps, self._timed_steps, self._clock = 0, 0, now
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        self._callbacks.on_metrics(self.step, finite)

    def untimed(self) -> "_Pause":
        """What is done inside does not count as training time."""
        return _Pause(self)


class _Pause:
    """Stops a trainer's clock."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __enter__(self) -> None:
        self._entered = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._trainer._clock += time.perf_counter() - self._entered


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """The norm of all values together."""
    norm: Tensor = torch.stack(torch._foreach_norm(tensors)).norm()
    return norm
