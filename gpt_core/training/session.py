"""One process's part of a run: training steps with periodic work, until the end or a signal."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import LaunchConfig, PretrainConfig
from gpt_core.errors import DivergenceError
from gpt_core.generation import continue_text
from gpt_core.models import count_parameters
from gpt_core.signals import StopRequest, defer_signals
from gpt_core.tokenizers import load_tokenizer
from gpt_core.training.checkpoint import Snapshot, prune, step_of
from gpt_core.training.failures import explain_failures
from gpt_core.training.saving import BackgroundSaver, HostCopier, PendingCheckpoint
from gpt_core.training.trainer import Trainer

if TYPE_CHECKING:
    from gpt_core.execution.fsdp import ShardedStateSaver


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Configuration, data and directory of a run, the same on every rank."""

    config: PretrainConfig
    """With the model's vocabulary size filled in."""

    out_dir: Path
    shards: Artifact
    initial: Artifact | None
    launch: LaunchConfig

    @property
    def parents(self) -> list[Artifact]:
        """The artifacts that the weights are derived from, the shards first."""
        return [self.shards, *([self.initial] if self.initial is not None else [])]


class Session:
    """One process's part of a run: from its current step to the end, or to a signal.

    Args:
        plan: The run.
        trainer: Restored from ``checkpoint``.
        callbacks: Receive the run's events; they do nothing but on rank 0.
        checkpoint: The newest checkpoint, None for a new run.
    """

    def __init__(
        self, plan: RunPlan, trainer: Trainer, callbacks: Callback, checkpoint: Artifact | None
    ) -> None:
        self._plan, self._trainer, self._callbacks = plan, trainer, callbacks
        self._checkpoint = checkpoint
        self._tokenizer = load_tokenizer(plan.shards.directory / TOKENIZER)
        self._saver, self._copier = BackgroundSaver(), HostCopier()
        self._sharded_saver = _sharded_saver() if trainer.layout.is_sharded else None

    def run(self) -> None:
        """Train the remaining steps.

        Raises:
            SystemExit: On SIGTERM, after saving a checkpoint.
            KeyboardInterrupt: On Ctrl-C, after saving a checkpoint.
        """
        trainer = self._trainer
        self._callbacks.on_start(self._info())
        trainer.model.train()
        with defer_signals() as request, self._saver:
            ended = False
            while not ended:
                with explain_failures(self._plan.config, trainer.device):
                    trainer.train_step()
                ended = self._after_step(request)
            self._publish(self._saver.wait())
            if trainer.ranks.any(bool(request)):
                request.obey()  # the flow's next stage would run else
        self._callbacks.on_end(trainer.step)

    def _info(self) -> RunInfo:
        trainer, training = self._trainer, self._plan.config.training
        return RunInfo(
            total_steps=training.steps,
            first_step=trainer.step,
            tokens_per_step=training.tokens_per_step,
            n_parameters=count_parameters(trainer.config.model),
            device=trainer.layout.description,
            precision=trainer.layout.numerics.precision,
            out_dir=self._plan.out_dir,
        )

    def _after_step(self, request: StopRequest) -> bool:
        """Run the periodic work due at this step: check, evaluate, sample, save.

        Saving comes last, so that the checkpoint has the new metrics.

        Args:
            request: Whether this process was asked to stop; one that was stops all.

        Returns:
            Whether the run has ended.

        Raises:
            SystemExit: If it is stopped before its end.
            KeyboardInterrupt: If it is stopped before its end by Ctrl-C.
        """
        trainer, training = self._trainer, self._plan.config.training
        last = trainer.step == training.steps
        self._publish(self._saver.finished())
        trainer.metrics.pop("validation_loss", None)
        if trainer.step % training.log_every == 0 or last:
            self._require_good_steps()
        if trainer.step % training.eval_every == 0 or last:
            with explain_failures(self._plan.config, trainer.device):
                trainer.evaluate()
            last = last or self._stops_early()
        if trainer.step % training.sample_every == 0 or last:
            self._sample()
        stopping = trainer.ranks.any(bool(request))
        if trainer.step % training.save_every == 0 or last or stopping:
            self._save(ended=last)
        if stopping and not last:
            self._publish(self._saver.wait())
            request.obey()
        return last

    def _stops_early(self) -> bool:
        if self._trainer.out_of_patience:
            self._callbacks.on_notice(
                f"the run ends at step {self._trainer.step}: {self._plan.config.training.patience} "
                "evaluations without a lower validation loss"
            )
        return self._trainer.out_of_patience

    def _require_good_steps(self) -> None:
        """Raise if any step since the last check was bad.

        Raises:
            DivergenceError: Naming the step, its samples and the checkpoint before it.
        """
        trouble = self._trainer.describe_bad_step()
        if trouble is None:
            return
        self._publish(self._saver.wait())
        back = "there is no checkpoint before it"
        if self._checkpoint is not None:
            back = f"the last good checkpoint is {self._checkpoint.path}"
        raise DivergenceError(
            f"{trouble}; {back}: lower optimizer.learning_rate, set optimizer.max_grad_norm or "
            "leave such batches out with training.bad_step=skip"
        )

    def _sample(self) -> None:
        """Generate text from each sample prompt, with the averaged weights if there are any."""
        trainer, config = self._trainer, self._plan.config
        with trainer.exclude_time(), trainer.updates.use_average():
            for prompt in config.training.sample_prompts:
                pieces = continue_text(trainer.model, self._tokenizer, prompt, config.generation)
                self._callbacks.on_sample(trainer.step, prompt, "".join(pieces))

    def _save(self, *, ended: bool) -> None:
        """Copy the state and write it as a checkpoint in the background."""
        self._require_good_steps()
        with self._trainer.exclude_time():
            self._publish(self._saver.wait())
            self._saver.start(self._pending_checkpoint(ended=ended))

    def _pending_checkpoint(self, *, ended: bool) -> PendingCheckpoint:
        trainer, plan = self._trainer, self._plan
        with trainer.updates.use_average():
            weights = self._copier.copy(trainer.layout.weights(), "weights")
        snapshot = Snapshot(
            step=trainer.step,
            weights=weights,
            state=self._copier.copy(trainer.state(), "state"),
            config=plan.config,
            parents=plan.parents,
            metrics={"step": float(trainer.step), **trainer.metrics},
            ended=ended,
        )
        pending = PendingCheckpoint(plan.out_dir, snapshot, is_first=trainer.ranks.is_first)
        if self._sharded_saver is not None:
            pending.start_shards(self._sharded_saver, trainer.updates.sharded_state())
        return pending

    def _publish(self, checkpoint: Artifact | None) -> None:
        """Report a checkpoint that has been written, and prune older ones."""
        if checkpoint is not None:
            self._checkpoint = checkpoint
            prune(self._plan.out_dir, self._plan.config.training.keep_last)
            self._callbacks.on_checkpoint(step_of(checkpoint), checkpoint)


def _sharded_saver() -> "ShardedStateSaver":
    from gpt_core.execution.fsdp import ShardedStateSaver  # slow to import

    return ShardedStateSaver()
