"""The training loop of the fine-tunes: epochs over examples in memory, best epoch kept.

A loop that is killed continues from its newest checkpoint and ends with the same bits, on a
GPU up to the rounding of its kernels.
"""

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from gpt_core.callbacks import Callback, Callbacks, JsonlRecorder, RunInfo
from gpt_core.config import FinetuningConfig, OptimizerConfig, ScheduleConfig
from gpt_core.errors import DivergenceError
from gpt_core.execution import autocast, resolve_precision
from gpt_core.execution.cpu import prepare_cpu
from gpt_core.finetuning.best import BestEpoch, set_weights, trained_weights
from gpt_core.finetuning.divergence import DivergenceWatch
from gpt_core.finetuning.progress import Checkpoints, FinetuningRun, LoopState
from gpt_core.models import evaluating
from gpt_core.optim import build_optimizer, learning_rate_at, rate_factors
from gpt_core.signals import StopRequest, defer_signals
from gpt_core.training.checkpoint import lock_run_dir

E = TypeVar("E")
_MAX_GRAD_NORM = 1.0
_LOG_EVERY = 10  # updates
_POOL_BATCHES = 8  # examples are sorted by length within pools of so many batches


class Objective(ABC, Generic[E]):
    """The loss to minimize and the metrics that choose the best epoch."""

    @abstractmethod
    def loss(self, examples: Sequence[E]) -> Tensor:
        """Summed loss of examples, in nats; the loop divides it by their ``weight`` in a batch."""

    def weight(self, example: E) -> float:
        """Weight of an example in the mean of a batch: 1, or its number of targets."""
        return 1.0

    @abstractmethod
    def score(self) -> dict[str, float]:
        """Metrics on the validation split: ``loss`` and maybe others; none if it is empty."""

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

    The best epoch is that of ``config.choose_by``; without a validation split it is the last one.

    Args:
        model: The model, on its device; parameters that require gradients are trained.
        objective: The loss and the validation metrics.
        config: Epochs, batch size, learning rate and seed.
        callbacks: Receives losses and validation metrics.
        run: The directory of the result and what it is made from; a killed run of the same
            continues.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective[E],
        config: FinetuningConfig,
        callbacks: Callback,
        run: FinetuningRun,
    ) -> None:
        self.model, self.objective, self.config, self.run_dir = model, objective, config, run
        self.callbacks = callbacks
        self.device = next(model.parameters()).device
        self.precision = resolve_precision(config.precision, self.device)
        prepare_cpu(self.device)
        self.step = 0
        self._peak = config.peak_rate()
        factors = rate_factors(model, config.layer_decay, config.head_learning_rate)
        rates = OptimizerConfig(learning_rate=self._peak, weight_decay=config.weight_decay)
        self._optimizer = build_optimizer(model, rates, factors)
        self._best = BestEpoch(config.choose_by, config.patience)
        self._watch = DivergenceWatch(self.device)
        self._checkpoints = Checkpoints(run, config.save_seconds, callbacks)
        self._schedule, self._total = ScheduleConfig(), 0
        self._loss_sum = torch.zeros((), device=self.device)
        self._logged, self._tokens, self._clock = 0, 0, time.perf_counter()

    def run(self, examples: Sequence[E]) -> dict[str, float]:
        """Train.

        Args:
            examples: The training split.

        Returns:
            The best epoch and its metrics on the validation split; none if that is empty.

        Raises:
            DivergenceError: If a loss or a gradient is no longer a number.
            CheckpointError: If the directory is in use, or has another run's checkpoints.
            SystemExit: On SIGTERM, after saving a checkpoint.
            KeyboardInterrupt: On Ctrl-C, after saving a checkpoint.
        """
        sizes = [self.objective.size(example) for example in examples]
        self._plan(len(examples))
        with lock_run_dir(self.run_dir.out_dir):
            state = self._checkpoints.find(self.device)
            if state is not None:
                self._restore(state)
            recorder = JsonlRecorder(self.run_dir.out_dir, self.step)
            self.callbacks = Callbacks([recorder, self.callbacks])
            self._announce(sum(sizes) * self.config.epochs // self._total)
            self.model.train()
            with defer_signals() as request, self._checkpoints:
                self._train(examples, sizes, request)
                if request:
                    self._save_and_stop(request)
                self._checkpoints.wait()
        self._best.put_back(self.model)
        self.model.eval()
        self.callbacks.on_end(self.step)
        return dict(self._best.metrics)

    def _plan(self, n_examples: int) -> None:
        """Set the number of updates and the curve of the learning rate."""
        config = self.config
        self._total = -(-n_examples // config.batch_size) * config.epochs
        self._schedule = ScheduleConfig(
            kind=config.schedule,
            warmup_steps=int(self._total * config.warmup_share),
            final_ratio=0.0,
        )

    def _announce(self, tokens_per_step: int) -> None:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.callbacks.on_start(
            RunInfo(
                total_steps=self._total,
                first_step=self.step,
                tokens_per_step=tokens_per_step,
                n_parameters=sum(parameter.numel() for parameter in trained),
                device=str(self.device),
                precision=self.precision,
                out_dir=self.run_dir.out_dir,
            )
        )
        self._clock = time.perf_counter()

    def _train(self, examples: Sequence[E], sizes: Sequence[int], request: StopRequest) -> None:
        """Do the updates that are left, until the last epoch, the end of patience or a signal."""
        rng = random.Random(self.config.seed)  # drawing the finished epochs again restores it
        for epoch in range(1, self.config.epochs + 1):
            batches = draw_batches(sizes, self.config.batch_size, rng)
            end = epoch * len(batches)
            if self.step >= end:
                continue
            if self._best.out_of_patience:
                self._say_patience_is_over(epoch - 1)
                return
            for batch in batches[self.step - end :]:
                rate = learning_rate_at(
                    self.step, self._schedule, peak=self._peak, total_steps=self._total
                )
                self._tokens += sum(sizes[i] for i in batch)
                self._update([examples[i] for i in batch], rate)
                if self.step % _LOG_EVERY == 0 or self.step == self._total:
                    self._log(rate, epoch)
                if self.step == end:
                    self._validate(epoch)
                if self._save_if_due(request):
                    return

    def _update(self, batch: Sequence[E], learning_rate: float) -> None:
        """One update, without synchronizing with the device."""
        self._optimizer.set_learning_rate(learning_rate)
        weight = sum(self.objective.weight(example) for example in batch)
        size = self.config.micro_batch or len(batch)
        total = torch.zeros((), device=self.device)
        for start in range(0, len(batch), size):
            with autocast(self.device, self.precision):
                loss = self.objective.loss(batch[start : start + size]) / weight
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_GRAD_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self._loss_sum += total
        self._watch.judge(self.step, total, norm)
        self._logged += 1
        if self._watch.alarmed:
            self._require_good_steps()

    def _require_good_steps(self) -> None:
        """Raise if an update so far had a loss or gradient that is not a number. Synchronizes."""
        step = self._watch.first_bad()
        if step is not None:
            raise DivergenceError(
                f"the loss of fine-tuning is not a number at step {step}: lower the learning rate, "
                f"which is {self._peak}"
            )

    def _log(self, learning_rate: float, epoch: int) -> None:
        self._require_good_steps()
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

    def _validate(self, epoch: int) -> None:
        """Score an epoch; keep its weights if it is the best so far."""
        self._require_good_steps()
        started = time.perf_counter()
        with evaluating(self.model):
            metrics = self.objective.score()
        self._clock += time.perf_counter() - started
        self._best.offer(epoch, metrics, self.model)
        if metrics:
            named = {f"validation/{name}": value for name, value in metrics.items()}
            self.callbacks.on_metrics(self.step, named)

    def _say_patience_is_over(self, epoch: int) -> None:
        self.callbacks.on_notice(
            f"the training ends after epoch {epoch} of {self.config.epochs}: "
            f"{self.config.patience} without a better {self.config.choose_by}"
        )

    def _save_if_due(self, request: StopRequest) -> bool:
        """Save a checkpoint if it is time to. Returns whether the process is asked to stop."""
        self._checkpoints.publish()
        if not request and self._checkpoints.due:
            self._require_good_steps()
            started = time.perf_counter()
            self._checkpoints.save(self._state())
            self._clock += time.perf_counter() - started
        return bool(request)

    def _save_and_stop(self, request: StopRequest) -> None:
        self._require_good_steps()
        self._checkpoints.save(self._state())
        self._checkpoints.wait()
        request.obey()

    def _state(self) -> LoopState:
        on_gpu = self.device.type == "cuda"
        return {
            "step": self.step,
            "weights": trained_weights(self.model),
            "optimizer": self._optimizer.state_dict(),
            "best": self._best.state(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if on_gpu else None,
            "loss_sum": self._loss_sum,
            "updates_since_log": self._logged,
        }

    def _restore(self, state: LoopState) -> None:
        self.step = state["step"]
        set_weights(self.model, state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._best.restore(state["best"])
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.device)
        self._loss_sum.copy_(state["loss_sum"])
        self._logged = state["updates_since_log"]
