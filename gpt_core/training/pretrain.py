"""Token shards to a trained model: the verb, with resuming, checkpoints, samples and stopping."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from gpt_core.artifact import Artifact
from gpt_core.config import PretrainConfig
from gpt_core.data import TOKENIZER, Batch, ShardReader, TokenLoader, sequential_batches
from gpt_core.errors import CheckpointError, ConfigError
from gpt_core.generation import continue_text
from gpt_core.models import build_model, load_weights
from gpt_core.tokenizers import Tokenizer, load_tokenizer
from gpt_core.training.callbacks import Callback, Callbacks, JsonlRecorder, RunInfo
from gpt_core.training.checkpoint import (
    best_checkpoint,
    latest_checkpoint,
    load_state,
    locked,
    prune,
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
) -> Artifact:
    """Train a GPT on token shards, going on from the newest checkpoint in ``out_dir``.

    A run that is killed and started again ends with the same bits as one that is not.

    Args:
        shards: The encoded corpus.
        config: The model and how to train it.
        out_dir: The run's directory: checkpoints, ``metrics.jsonl`` and ``samples.jsonl``.
        callbacks: Told of figures, samples and checkpoints.

    Returns:
        The checkpoint with the lowest validation loss; the last one if there is no such text.

    Raises:
        ConfigError: If the vocabulary disagrees with the shards, or the device is not there.
        DataError: If the text is shorter than the context, or the directory cannot be written.
        CheckpointError: If the directory is in use or belongs to another run.
        DivergenceError: If the loss is no longer a number.
        SystemExit: On SIGTERM, after saving a checkpoint.
    """
    config = resolve_vocabulary(config, shards)
    device = resolve_device(config.training.device)
    reader = ShardReader(shards.directory, "train")
    loader = TokenLoader(
        reader,
        context_length=config.model.context_length,
        batch_size=config.training.micro_batch,
        config=config.loader,
    )
    with locked(out_dir):
        checkpoint, notices = latest_checkpoint(out_dir)
        if checkpoint is not None:
            require_same_run(checkpoint, config, shards)
        if checkpoint is None or checkpoint.manifest()["info"]["step"] < config.training.steps:
            _run(shards, config, out_dir, device, loader, checkpoint, [*callbacks], notices)
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


def _run(
    shards: Artifact,
    config: PretrainConfig,
    out_dir: Path,
    device: torch.device,
    loader: TokenLoader,
    checkpoint: Artifact | None,
    callbacks: list[Callback],
    notices: list[str],
) -> None:
    """Do the steps that are left."""
    first_step = 0 if checkpoint is None else checkpoint.manifest()["info"]["step"]
    listeners = Callbacks([JsonlRecorder(out_dir, first_step), *callbacks])
    for notice in notices:
        listeners.on_notice(notice)
    model = build_model(config.model, config.training.seed).to(device)
    torch.manual_seed(config.training.seed)  # of dropout
    trainer = Trainer(model, config, loader, _validation(shards, config), listeners)
    if checkpoint is not None:
        load_weights(model, checkpoint.directory / "model.safetensors")
        trainer.restore(load_state(checkpoint, device))
    listeners.on_start(
        RunInfo(
            total_steps=config.training.steps,
            first_step=first_step,
            tokens_per_step=config.training.tokens_per_step,
            n_parameters=sum(parameter.numel() for parameter in model.parameters()),
            device=str(device),
            precision=trainer.precision,
            out_dir=out_dir,
        )
    )
    _steps(trainer, config, shards, out_dir, listeners, checkpoint)
    listeners.on_end(trainer.step)


def _steps(
    trainer: Trainer,
    config: PretrainConfig,
    shards: Artifact,
    out_dir: Path,
    listeners: Callback,
    checkpoint: Artifact | None,
) -> None:
    training = config.training
    tokenizer = load_tokenizer(shards.directory / TOKENIZER)
    trainer.model.train()

    def save() -> Artifact:
        trainer.require_finite(None if checkpoint is None else checkpoint.path)
        saved = save_checkpoint(
            out_dir,
            step=trainer.step,
            model=trainer.model,
            state=trainer.state(),
            config=config,
            shards=shards,
            metrics=_figures(trainer),
        )
        prune(out_dir, training.keep_last)
        listeners.on_checkpoint(trainer.step, saved)
        return saved

    with _stop_signal() as stopped:
        while trainer.step < training.steps:
            trainer.train_step()
            step, last = trainer.step, trainer.step == training.steps
            trainer.metrics.pop("validation_loss", None)
            if step % training.log_every == 0 or last:
                trainer.require_finite(None if checkpoint is None else checkpoint.path)
            if step % training.eval_every == 0 or last:
                trainer.evaluate()
            if step % training.sample_every == 0 or last:
                with trainer.untimed():
                    _show_samples(trainer, config, tokenizer, listeners)
            if step % training.save_every == 0 or last or stopped():
                with trainer.untimed():
                    checkpoint = save()
            if stopped() and not last:
                raise SystemExit(128 + signal.SIGTERM)


def _figures(trainer: Trainer) -> dict[str, float]:
    return {"step": float(trainer.step), **trainer.metrics}


def _show_samples(
    trainer: Trainer, config: PretrainConfig, tokenizer: Tokenizer, listeners: Callback
) -> None:
    for prompt in config.training.sample_prompts:
        pieces = continue_text(trainer.model, tokenizer, prompt, config.generation)
        listeners.on_sample(trainer.step, prompt, "".join(pieces))


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
