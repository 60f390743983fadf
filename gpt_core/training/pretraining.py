"""Token shards to a trained model: the verb, which begins a run or takes up one that was left."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, Callbacks, JsonlRecorder
from gpt_core.config import LaunchConfig, PretrainConfig
from gpt_core.data import Batch, ShardReader, TokenLoader, rows_of_rank, sequential_batches
from gpt_core.errors import ConfigError
from gpt_core.execution import resolve_device
from gpt_core.execution.layout import Layout
from gpt_core.execution.numerics import Computing
from gpt_core.execution.placement import is_shared, lay_out
from gpt_core.execution.ranks import Ranks, joined_ranks
from gpt_core.models import build_model, load_weights
from gpt_core.training.checkpoint import (
    SHARES,
    latest_checkpoint,
    load_state,
    locked,
    remove_leftovers,
    require_best,
    require_fitting,
    require_same_run,
)
from gpt_core.training.failures import advised
from gpt_core.training.fitting import fitted
from gpt_core.training.session import RunPlan, Session, step_of
from gpt_core.training.trainer import Trainer, seed_dropout
from gpt_core.training.tuning import tuned


def pretrain(
    shards: Artifact,
    config: PretrainConfig,
    out_dir: Path,
    *,
    callbacks: Sequence[Callback] = (),
    initial: Artifact | None = None,
    launch: LaunchConfig | None = None,
) -> Artifact:
    """Train a GPT on token shards, going on from the newest checkpoint in ``out_dir``.

    A run that is killed and started again ends with the same bits as one that is not. Under
    ``torchrun`` its processes share each step's samples; a checkpoint of any number of processes
    is gone on with by any other, then with the same bits but for rounding.

    Args:
        shards: The encoded corpus.
        config: The model and how to train it.
        out_dir: The run's directory: checkpoints, ``metrics.jsonl`` and ``samples.jsonl``.
        callbacks: Told of figures, samples and checkpoints.
        initial: A checkpoint whose weights the run begins with; None draws fresh ones.
        launch: How several processes share the model.

    Returns:
        The checkpoint with the lowest validation loss; the last one if there is no such text.

    Raises:
        ConfigError: If the vocabulary disagrees with the shards, the device is not there, or the
            processes cannot share a step evenly.
        DataError: If the text is shorter than the context, or the directory cannot be written.
        CheckpointError: If the directory is in use or belongs to another run, or ``initial`` has
            another shape or tokenizer.
        DivergenceError: If the loss is no longer a number.
        SystemExit: On SIGTERM, after saving a checkpoint.
    """
    config = resolve_vocabulary(config, shards)
    if initial is not None:
        require_fitting(initial, config, shards)
    plan = RunPlan(config, out_dir, shards, initial, launch or LaunchConfig())
    with joined_ranks() as ranks:
        # Both refuse what cannot be trained on, before anything is written.
        config.micro_batches_of(ranks.size)
        _loader(plan, ranks)
        with locked(out_dir) if ranks.first else nullcontext():
            _train(plan, ranks, callbacks)
            best: Artifact = ranks.shared(require_best(out_dir) if ranks.first else None)
    return best


def resolve_vocabulary(config: PretrainConfig, shards: Artifact) -> PretrainConfig:
    """The configuration with the vocabulary size that the shards have.

    Raises:
        ConfigError: If another size was asked for.
    """
    size = shards.manifest().info_int("vocab_size")
    asked = config.model.vocab_size
    if asked not in (None, size):
        raise ConfigError(
            f"model.vocab_size is {asked}, but the tokenizer of {shards.path} has {size} tokens: "
            "leave model.vocab_size unset"
        )
    return replace(config, model=replace(config.model, vocab_size=size))


def _train(plan: RunPlan, ranks: Ranks, callbacks: Sequence[Callback]) -> None:
    """Do what is left of a run; the first process writes and tells."""
    checkpoint, notices = ranks.shared(_found(plan) if ranks.first else None)
    if checkpoint is not None and checkpoint.manifest().info_bool("ended"):
        return
    listeners = Callbacks([])
    if ranks.first:
        listeners = Callbacks([JsonlRecorder(plan.out_dir, step_of(checkpoint)), *callbacks])
    for notice in notices:
        listeners.on_notice(notice)
    plan = _with_micro_batch(plan, checkpoint, ranks)
    trainer = _prepare(plan, checkpoint, listeners, ranks)
    Session(plan, trainer, listeners, checkpoint).run()


def _found(plan: RunPlan) -> tuple[Artifact | None, list[str]]:
    """The checkpoint to go on from, and what was passed over."""
    remove_leftovers(plan.out_dir)
    checkpoint, notices = latest_checkpoint(plan.out_dir)
    if checkpoint is not None:
        require_same_run(checkpoint, _remembered(plan, checkpoint).config, plan.parents)
    return checkpoint, notices


def _with_micro_batch(plan: RunPlan, checkpoint: Artifact | None, ranks: Ranks) -> RunPlan:
    """The plan with a micro-batch that fits, if that is to be found out."""
    if checkpoint is not None:
        return _remembered(plan, checkpoint)
    config, device = plan.config, resolve_device(plan.config.training.device)
    if not config.training.fit_memory or is_shared(config.model, device, ranks, plan.launch):
        return plan
    return replace(plan, config=fitted(config, device, ranks))


def _remembered(plan: RunPlan, checkpoint: Artifact) -> RunPlan:
    """The plan with the micro-batch that the run has found."""
    training = plan.config.training
    if not training.fit_memory:
        return plan
    found = checkpoint.manifest().config_int("training", "micro_batch")
    training = replace(training, micro_batch=found)
    return replace(plan, config=replace(plan.config, training=training))


def _loader(plan: RunPlan, ranks: Ranks) -> TokenLoader:
    return TokenLoader(
        ShardReader(plan.shards.directory, "train"),
        context_length=plan.config.model.context_length,
        batch_size=plan.config.training.micro_batch,
        config=plan.config.loader,
        rank=ranks.rank,
        world_size=ranks.size,
    )


def _prepare(
    plan: RunPlan, checkpoint: Artifact | None, listeners: Callback, ranks: Ranks
) -> Trainer:
    """A trainer as it stood at the checkpoint, or at the beginning."""
    config, loader = plan.config, _loader(plan, ranks)
    device = resolve_device(config.training.device)
    zeros = config.training.zero_init
    model = build_model(config.model, config.training.seed, zero_residual=zeros)
    origin = checkpoint or plan.initial
    if origin is not None:
        load_weights(model, origin.directory / "model.safetensors")
    layout = lay_out(model, device, config.training, ranks, plan.launch)
    state = None if checkpoint is None else load_state(checkpoint, device)
    layout.use(_computing(layout, config, state, listeners))
    seed_dropout(config.training.seed, ranks)
    trainer = Trainer(layout, config, loader, _validation(plan, ranks), listeners)
    if checkpoint is not None and state is not None:
        trainer.restore(state, checkpoint.directory / SHARES)
    return trainer


def _computing(
    layout: Layout, config: PretrainConfig, state: dict[str, Any] | None, listeners: Callback
) -> Computing:
    """As the run was computed up to here; another machine keeps only what the weights feel."""
    here = layout.computing
    before = None if state is None else Computing(**state["computing"])
    if before is not None and before.machine == here.machine:
        return before
    if before is not None:
        here = replace(here, precision=before.precision, bf16_residual=before.bf16_residual)
        layout.use(here)
    with advised(config, layout.device):
        return tuned(layout, config, time.perf_counter, listeners.on_notice)


def _validation(plan: RunPlan, ranks: Ranks) -> Callable[[], Iterator[Batch]] | None:
    """The same validation batches every time, or None when there are fewer than two tokens."""
    reader = ShardReader(plan.shards.directory, "validation")
    if reader.n_tokens < 2:
        return None
    training, context_length = plan.config.training, plan.config.model.context_length

    def batches() -> Iterator[Batch]:
        every = sequential_batches(
            reader, context_length, training.micro_batch * ranks.size, training.eval_tokens
        )
        return (rows_of_rank(batch, ranks.rank, ranks.size) for batch in every)

    return batches
