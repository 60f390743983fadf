"""One process's part of a run: steps, and what is due between them until the end or SIGTERM."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo
from gpt_core.config import LaunchConfig, PretrainConfig
from gpt_core.data import TOKENIZER
from gpt_core.errors import DivergenceError
from gpt_core.generation import continue_text
from gpt_core.models import count_parameters
from gpt_core.tokenizers import load_tokenizer
from gpt_core.training.checkpoint import prune, save_checkpoint
from gpt_core.training.failures import advised
from gpt_core.training.saving import BackgroundSaver, Copier
from gpt_core.training.trainer import Trainer

if TYPE_CHECKING:
    from gpt_core.execution.fsdp import ShareSaver


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is, whichever process does which part of it; ``config`` has its vocabulary."""

    config: PretrainConfig
    out_dir: Path
    shards: Artifact
    initial: Artifact | None
    launch: LaunchConfig

    @property
    def parents(self) -> list[Artifact]:
        """What the weights come from, the shards first."""
        return [self.shards, *([self.initial] if self.initial is not None else [])]


class Session:
    """One process's part of a run: from where it stands to the end, or to SIGTERM.

    Args:
        plan: The run.
        trainer: Standing at ``checkpoint``.
        listeners: Told of all that happens.
        checkpoint: The newest one, None at the beginning.
    """

    def __init__(
        self, plan: RunPlan, trainer: Trainer, listeners: Callback, checkpoint: Artifact | None
    ) -> None:
        self._plan, self._trainer, self._listeners = plan, trainer, listeners
        self._checkpoint = checkpoint
        self._tokenizer = load_tokenizer(plan.shards.directory / TOKENIZER)
        self._saver, self._copier = BackgroundSaver(), Copier()
        self._shares = _share_saver() if trainer.layout.shared else None

    def run(self) -> None:
        """Do the steps that are left."""
        trainer = self._trainer
        self._listeners.on_start(self._info())
        trainer.model.train()
        with _stop_signal() as stopped, self._saver:
            ended = False
            while not ended:
                with advised(self._plan.config, trainer.device):
                    trainer.train_step()
                ended = self._after_step(stopping=trainer.ranks.any(stopped()))
            self._note_saved(self._saver.wait())
        self._listeners.on_end(trainer.step)

    def _info(self) -> RunInfo:
        trainer, training = self._trainer, self._plan.config.training
        return RunInfo(
            total_steps=training.steps,
            first_step=trainer.step,
            tokens_per_step=training.tokens_per_step,
            n_parameters=count_parameters(trainer.config.model),
            device=trainer.layout.description,
            precision=trainer.layout.computing.precision,
            out_dir=self._plan.out_dir,
        )

    def _after_step(self, *, stopping: bool) -> bool:
        """What is due at this step, the checkpoint last: it holds the figures of the others.

        Returns:
            Whether the run has come to its end.

        Raises:
            SystemExit: If it is to stop before that.
        """
        trainer, training = self._trainer, self._plan.config.training
        last = trainer.step == training.steps
        self._note_saved(self._saver.finished())
        trainer.metrics.pop("validation_loss", None)
        if trainer.step % training.log_every == 0 or last:
            self._require_good()
        if trainer.step % training.eval_every == 0 or last:
            with advised(self._plan.config, trainer.device):
                trainer.evaluate()
            last = last or self._gives_up()
        if trainer.step % training.sample_every == 0 or last:
            self._show_samples()
        if trainer.step % training.save_every == 0 or last or stopping:
            self._save(ended=last)
        if stopping and not last:
            self._note_saved(self._saver.wait())
            raise SystemExit(128 + signal.SIGTERM)
        return last

    def _gives_up(self) -> bool:
        if self._trainer.gives_up:
            self._listeners.on_notice(
                f"the run ends at step {self._trainer.step}: {self._plan.config.training.patience} "
                "evaluations without a lower validation loss"
            )
        return self._trainer.gives_up

    def _require_good(self) -> None:
        """Stop a run that has come to a bad step.

        Raises:
            DivergenceError: Naming the step, the position in the data and where to go back to.
        """
        trouble = self._trainer.trouble()
        if trouble is None:
            return
        self._note_saved(self._saver.wait())
        back = "there is no checkpoint before it"
        if self._checkpoint is not None:
            back = f"the last good checkpoint is {self._checkpoint.path}"
        raise DivergenceError(
            f"{trouble}; {back}: lower optimizer.learning_rate, set optimizer.max_grad_norm or "
            "leave such batches out with training.bad_step=skip"
        )

    def _show_samples(self) -> None:
        trainer, config = self._trainer, self._plan.config
        with trainer.untimed(), trainer.updates.averaged():
            for prompt in config.training.sample_prompts:
                pieces = continue_text(trainer.model, self._tokenizer, prompt, config.generation)
                self._listeners.on_sample(trainer.step, prompt, "".join(pieces))

    def _save(self, *, ended: bool) -> None:
        """Write a checkpoint from copies, while training goes on."""
        trainer, plan = self._trainer, self._plan
        self._require_good()
        with trainer.untimed():
            self._note_saved(self._saver.wait())
            with trainer.updates.averaged():
                weights = self._copier.copied(trainer.layout.weights(), "weights")
            write = partial(
                save_checkpoint,
                plan.out_dir,
                step=trainer.step,
                weights=weights,
                state=self._copier.copied(trainer.state(), "state"),
                config=plan.config,
                parents=plan.parents,
                metrics={"step": float(trainer.step), **trainer.metrics},
                ended=ended,
            )
            written = None if self._shares is None else self._start_shares()
            self._saver.start(partial(_write, write, written, first=trainer.ranks.first))

    def _start_shares(self) -> Callable[[], Path]:
        """Begin to write this process's share of the state; what is returned waits for all."""
        assert self._shares is not None
        folder = self._plan.out_dir / f".step-{self._trainer.step:08d}.shares"
        writing = self._shares.start(self._trainer.updates.shares(), folder)

        def written() -> Path:
            writing.result()
            return folder

        return written

    def _note_saved(self, checkpoint: Artifact | None) -> None:
        """A checkpoint is in its place: those before it may go."""
        if checkpoint is not None:
            self._checkpoint = checkpoint
            prune(self._plan.out_dir, self._plan.config.training.keep_last)
            self._listeners.on_checkpoint(step_of(checkpoint), checkpoint)


def _share_saver() -> "ShareSaver":
    from gpt_core.execution.fsdp import ShareSaver  # what it needs takes long to import

    return ShareSaver()


def _write(
    write: Callable[..., Artifact], shares: Callable[[], Path] | None, *, first: bool
) -> Artifact | None:
    """The first process writes the checkpoint, when the others have written their shares."""
    folder = None if shares is None else shares()
    return write(shares=folder) if first else None


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Notes a SIGTERM, so that the loop can save before it ends; only in the main thread."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, previous)


def step_of(checkpoint: Artifact | None) -> int:
    """The steps that a checkpoint has behind it; 0 if there is none."""
    return 0 if checkpoint is None else checkpoint.manifest().info_int("step")
