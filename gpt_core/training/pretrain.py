"""Token shards to a trained model: the verb, which begins a run or takes up one that was left."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gpt_core.artifact import Artifact
from gpt_core.config import PretrainConfig
from gpt_core.data import Batch, ShardReader, TokenLoader, sequential_batches
from gpt_core.errors import CheckpointError, ConfigError
from gpt_core.models import build_model, load_weights, resolve_device
from gpt_core.training.callbacks import Callback, Callbacks, JsonlRecorder
from gpt_core.training.checkpoint import (
    best_checkpoint,
    latest_checkpoint,
    load_state,
    locked,
    remove_leftovers,
    require_fitting,
    require_same_run,
)
from gpt_core.training.session import RunPlan, Session, step_of
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
    plan, loader = RunPlan(config, out_dir, shards, initial), _loader(shards, config)
    with locked(out_dir):
        remove_leftovers(out_dir)
        checkpoint, notices = latest_checkpoint(out_dir)
        if checkpoint is not None:
            require_same_run(checkpoint, config, plan.parents)
        if checkpoint is None or not checkpoint.manifest()["info"]["ended"]:
            listeners = Callbacks([JsonlRecorder(out_dir, step_of(checkpoint)), *callbacks])
            for notice in notices:
                listeners.on_notice(notice)
            trainer = _prepare(plan, loader, checkpoint, listeners)
            Session(plan, trainer, listeners, checkpoint).run()
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


def _loader(shards: Artifact, config: PretrainConfig) -> TokenLoader:
    return TokenLoader(
        ShardReader(shards.directory, "train"),
        context_length=config.model.context_length,
        batch_size=config.training.micro_batch,
        config=config.loader,
    )


def _prepare(
    plan: RunPlan, loader: TokenLoader, checkpoint: Artifact | None, listeners: Callback
) -> Trainer:
    """A trainer as it stood at the checkpoint, or at the beginning."""
    config = plan.config
    device = resolve_device(config.training.device)
    zeros = config.training.zero_init
    model = build_model(config.model, config.training.seed, zero_residual=zeros)
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
