"""Token shards to a trained model: the verb, with resuming, checkpoints, samples and stopping."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gpt_core.artifact import Artifact
from gpt_core.config import PretrainConfig
from gpt_core.data import TOKENIZER, Batch, ShardReader, TokenLoader, sequential_batches
from gpt_core.errors import CheckpointError, ConfigError
from gpt_core.generation import continue_text
from gpt_core.models import build_model, load_weights
from gpt_core.tokenizers import load_tokenizer
from gpt_core.training.callbacks import Callback, Callbacks, JsonlRecorder, RunInfo
from gpt_core.training.checkpoint import (
    best_checkpoint,
    latest_checkpoint,
    load_state,
    locked,
    prune,
    remove_leftovers,
    require_fitting,
    require_same_run,
    save_checkpoint,
)
from gpt_core.training.precision import resolve_device
from gpt_core.training.trainer import Trainer


def pretrain(
    shards: Artifact,
    config: PretrainConfig,
    out_dir: Path,
    *,
    callbacks: Sequence[Callback] = (),
    initial: Artifact | None = None,
) -> Artifact:
    """Train a GPT on token shards, going on from the newest checkpoint in ``out_dir``.

    A run that is killed and started again ends with the same bits as one that is not.

    Args:
        shards: The encoded corpus.
        config: The model and how to train it.
        out_dir: The run's directory: checkpoints, ``metrics.jsonl`` and ``samples.jsonl``.
        callbacks: Told of figures, samples and checkpoints.
        initial: A checkpoint whose weights the run begins with; None draws fresh ones.

    Returns:
        The checkpoint with the lowest validation loss; the last one if there is no such text.

    Raises:
        ConfigError: If the vocabulary disagrees with the shards, or the device is not there.
        DataError: If the text is shorter than the context, or the directory cannot be written.
        CheckpointError: If the directory is in use or belongs to another run, or ``initial`` has
            another shape or tokenizer.
        DivergenceError: If the loss is no longer a number.
        SystemExit: On SIGTERM, after saving a checkpoint.
    """
    config = resolve_vocabulary(config, shards)
    if initial is not None:
        require_fitting(initial, config, shards)
    plan, loader = _Plan(config, out_dir, shards, initial), _loader(shards, config)
    with locked(out_dir):
        remove_leftovers(out_dir)
        checkpoint, notices = latest_checkpoint(out_dir)
        if checkpoint is not None:
            require_same_run(checkpoint, config, plan.parents)
        if _step_of(checkpoint) < config.training.steps:
            listeners = Callbacks([JsonlRecorder(out_dir, _step_of(checkpoint)), *callbacks])
            for notice in notices:
                listeners.on_notice(notice)
            trainer = _prepare(plan, loader, checkpoint, listeners)
            _Session(plan, trainer, listeners, checkpoint).run()
        best = best_checkpoint(out_dir)
    if best is None:
        raise CheckpointError(f"{out_dir} has no checkpoint after training: was it deleted?")
    return best


def resolve_vocabulary(config: PretrainConfig, shards: Artifact) -> PretrainConfig:
    """The configuration with the vocabulary size that the shards have.

    Raises:
        ConfigError: If another size was asked for.
    """
    size = shards.manifest()["info"]["vocab_size"]
    asked = config.model.vocab_size
    if asked not in (None, size):
        raise ConfigError(
            f"model.vocab_size is {asked}, but the tokenizer of {shards.path} has {size} tokens: "
            "leave model.vocab_size unset"
        )
    return replace(config, model=replace(config.model, vocab_size=size))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a run is, whichever process does which part of it."""

    config: PretrainConfig
    out_dir: Path
    shards: Artifact
    initial: Artifact | None

    @property
    def parents(self) -> list[Artifact]:
        """What the weights come from, the shards first."""
        return [self.shards, *([self.initial] if self.initial is not None else [])]


def _step_of(checkpoint: Artifact | None) -> int:
    return 0 if checkpoint is None else int(checkpoint.manifest()["info"]["step"])


def _loader(shards: Artifact, config: PretrainConfig) -> TokenLoader:
    return TokenLoader(
        ShardReader(shards.directory, "train"),
        context_length=config.model.context_length,
        batch_size=config.training.micro_batch,
        config=config.loader,
    )


def _prepare(
    plan: _Plan, loader: TokenLoader, checkpoint: Artifact | None, listeners: Callback
) -> Trainer:
    """A trainer as it stood at the checkpoint, or at the beginning."""
    config = plan.config
    device = resolve_device(config.training.device)
    model = build_model(config.model, config.training.seed)
    origin = checkpoint or plan.initial
    if origin is not None:
        load_weights(model, origin.directory / "model.safetensors")
    model.to(device)
    torch.manual_seed(config.training.seed)  # of dropout
    trainer = Trainer(model, config, loader, _validation(plan.shards, config), listeners)
    if checkpoint is not None:
        trainer.restore(load_state(checkpoint, device))
    return trainer


def _validation(shards: Artifact, config: PretrainConfig) -> Callable[[], Iterator[Batch]] | None:
    """The same validation batches every time, or None when there are fewer than two tokens."""
    reader = ShardReader(shards.directory, "validation")
    if reader.n_tokens < 2:
        return None

    def batches() -> Iterator[Batch]:
        training = config.training
        return sequential_batches(
            reader, config.model.context_length, training.micro_batch, training.eval_tokens
        )

    return batches


class _Session:
    """One process's part of a run: from where it stands to the end, or to SIGTERM.

    Args:
        plan: The run.
        trainer: Standing at ``checkpoint``.
        listeners: Told of all that happens.
        checkpoint: The newest one, None at the beginning.
    """

    def __init__(
        self, plan: _Plan, trainer: Trainer, listeners: Callback, checkpoint: Artifact | None
    ) -> None:
        self._plan, self._trainer, self._listeners = plan, trainer, listeners
        self._checkpoint = checkpoint
        self._tokenizer = load_tokenizer(plan.shards.directory / TOKENIZER)

    def run(self) -> None:
        """Do the steps that are left."""
        trainer, total = self._trainer, self._plan.config.training.steps
        self._listeners.on_start(self._info())
        trainer.model.train()
        with _stop_signal() as stopped:
            while trainer.step < total:
                trainer.train_step()
                self._after_step(last=trainer.step == total, stopping=stopped())
        self._listeners.on_end(trainer.step)

    def _info(self) -> RunInfo:
        trainer, training = self._trainer, self._plan.config.training
        return RunInfo(
            total_steps=training.steps,
            first_step=trainer.step,
            tokens_per_step=training.tokens_per_step,
            n_parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
            device=str(trainer.device),
            precision=trainer.precision,
            out_dir=self._plan.out_dir,
        )

    def _after_step(self, *, last: bool, stopping: bool) -> None:
        """What is due at this step, the checkpoint last: it holds the figures of the others."""
        trainer, training = self._trainer, self._plan.config.training
        trainer.metrics.pop("validation_loss", None)
        if trainer.step % training.log_every == 0 or last:
            self._require_finite()
        if trainer.step % training.eval_every == 0 or last:
            trainer.evaluate()
        if trainer.step % training.sample_every == 0 or last:
            self._show_samples()
        if trainer.step % training.save_every == 0 or last or stopping:
            self._save()
        if stopping and not last:
            raise SystemExit(128 + signal.SIGTERM)

    def _require_finite(self) -> None:
        self._trainer.require_finite(self._checkpoint.path if self._checkpoint else None)

    def _show_samples(self) -> None:
        trainer, config = self._trainer, self._plan.config
        with trainer.untimed():
            for prompt in config.training.sample_prompts:
                pieces = continue_text(trainer.model, self._tokenizer, prompt, config.generation)
                self._listeners.on_sample(trainer.step, prompt, "".join(pieces))

    def _save(self) -> None:
        trainer, plan = self._trainer, self._plan
        self._require_finite()
        with trainer.untimed():
            self._checkpoint = save_checkpoint(
                plan.out_dir,
                step=trainer.step,
                model=trainer.model,
                state=trainer.state(),
                config=plan.config,
                parents=plan.parents,
                metrics={"step": float(trainer.step), **trainer.metrics},
            )
            prune(plan.out_dir, plan.config.training.keep_last)
            self._listeners.on_checkpoint(trainer.step, self._checkpoint)


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
