"""The training loop.

A step is one optimizer update over ``micro_batches_per_step`` micro-batches. Nothing in a step
waits for the device; figures are read from it when they are logged.

Shapes: B batch, T time.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from gpt_core.config import PretrainConfig
from gpt_core.data import Batch, LoaderState, TokenLoader
from gpt_core.errors import DivergenceError
from gpt_core.evaluation import token_loss
from gpt_core.models import GPT, flops_per_token, model_loss
from gpt_core.training.callbacks import Callback
from gpt_core.training.optimizer import build_optimizer
from gpt_core.training.precision import autocast, peak_flops, resolve_precision
from gpt_core.training.schedule import learning_rate_at


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

        self._validation, self._callbacks = validation, callbacks
        self._loss_sum = torch.zeros((), device=self.device)
        self._summed_steps = 0
        self._timed_steps = 0  # those of the sum that this process has done
        self._first_bad = torch.full((), -1, device=self.device)
        self._clock = time.perf_counter()
        wanted = config.training.compile
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
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._note(step_loss, norm)
        if self.step % config.training.log_every == 0 or self.step == total:
            self._log(rate, norm)

    def evaluate(self) -> None:
        """Loss on the validation text, if there is any."""
        if self._validation is None:
            return
        with self.untimed():
            with autocast(self.device, self.precision):
                loss, _ = token_loss(self.model, self._validation(), self.device)
            self.metrics["validation_loss"] = loss
            perplexity = math.exp(min(loss, 700.0))
            figures = {"validation/loss": loss, "validation/perplexity": perplexity}
            self._callbacks.on_metrics(self.step, figures)

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
        self._clock = time.perf_counter()

    def require_finite(self, last_checkpoint: str | None) -> None:
        """Stop a run whose loss is no longer a number.

        Raises:
            DivergenceError: Naming the step, the position in the data and where to go back to.
        """
        step = int(self._first_bad.item())
        if step >= 0:
            per_step = self.config.training.micro_batch * self.config.micro_batches_per_step
            back = f"the last good checkpoint is {last_checkpoint}" if last_checkpoint else (
                "there is no checkpoint before it"
            )  # fmt: skip
            raise DivergenceError(
                f"the loss of step {step} is not a number (samples {(step - 1) * per_step} to "
                f"{step * per_step} of the data's order); {back}: lower "
                "optimizer.learning_rate or set optimizer.max_grad_norm"
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

    def _note(self, loss: Tensor, norm: Tensor) -> None:
        """Count a step without waiting for the device."""
        self.step += 1
        self._loss_sum += loss
        self._summed_steps += 1
        self._timed_steps += 1
        bad = ~(torch.isfinite(loss) & torch.isfinite(norm)) & (self._first_bad < 0)
        self._first_bad = torch.where(bad, self.step, self._first_bad)

    def _log(self, learning_rate: float, norm: Tensor) -> None:
        loss = self._loss_sum.item() / self._summed_steps
        now = time.perf_counter()
        seconds = now - self._clock
        tokens = self._timed_steps * self.config.training.tokens_per_step
        figures = {
            "train/loss": loss,
            "train/learning_rate": learning_rate,
            "train/grad_norm": norm.item(),
            "train/tokens_per_second": tokens / max(seconds, 1e-9),
            "train/tokens": float(self.step * self.config.training.tokens_per_step),
            "train/epoch": self.loader.epoch,
        }
        peak = peak_flops(self.device)
        if peak is not None:
            rate = figures["train/tokens_per_second"]
            figures["train/mfu"] = rate * flops_per_token(self.config.model) / peak
        self.metrics |= {"train_loss": loss, "tokens": figures["train/tokens"]}
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
