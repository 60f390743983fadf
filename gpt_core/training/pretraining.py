"""Pretrain a model from token shards, starting a new run or resuming an interrupted one."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, Callbacks, JsonlRecorder
from gpt_core.checkpoints import SHARDED_STATE, WEIGHTS
from gpt_core.config import LaunchConfig, PretrainConfig
from gpt_core.data import Batch, ShardReader, TokenLoader, rows_of_rank, sequential_batches
from gpt_core.errors import ConfigError
from gpt_core.execution import resolve_device
from gpt_core.execution.layout import Layout
from gpt_core.execution.numerics import Numerics
from gpt_core.execution.placement import build_layout, uses_fsdp
from gpt_core.execution.ranks import Ranks, join_process_group
from gpt_core.models import build_model, load_weights
from gpt_core.training.agreement import require_agreement
from gpt_core.training.autotune import autotune, fit_micro_batch
from gpt_core.training.checkpoint import (
    latest_checkpoint,
    lock_run_dir,
    prune,
    remove_leftovers,
    require_best,
    require_compatible,
    require_same_run,
    step_of,
)
from gpt_core.training.failures import explain_failures, explain_lost_processes
from gpt_core.training.session import RunPlan, Session
from gpt_core.training.state_file import load_state, state_errors
from gpt_core.training.trainer import SECONDS, Trainer, seed_dropout


def pretrain(
    shards: Artifact,
    config: PretrainConfig,
    out_dir: Path,
    *,
    callbacks: Sequence[Callback] = (),
    initial: Artifact | None = None,
    launch: LaunchConfig | None = None,
) -> Artifact:
    """Train a GPT on token shards, resuming from the newest checkpoint in ``out_dir``.

    A run that is killed and started again ends with the same bits as an uninterrupted one, on a GPU
    if ``compute.deterministic``. Under ``torchrun`` the processes divide each step's samples; any
    other number of them can resume, then with the same bits up to rounding.

    Args:
        shards: The encoded corpus.
        config: The model and how to train it.
        out_dir: The run's directory: checkpoints, ``metrics.jsonl`` and ``samples.jsonl``.
        callbacks: Receive metrics, samples and checkpoints.
        initial: A checkpoint with the initial weights; None initializes them randomly.
        launch: How several processes distribute the model.

    Returns:
        The checkpoint with the lowest validation loss, or the last one if there is no validation
        text.

    Raises:
        ConfigError: If the vocabulary disagrees with the shards, the device is not available, the
            processes cannot divide a step evenly, or they have different settings or data.
        LostProcessError: If another process has ended or does not answer.
        DataError: If the text is shorter than the context, or the directory cannot be written.
        CheckpointError: If the directory is in use or belongs to another run, or ``initial`` has
            another shape or tokenizer.
        DivergenceError: If the loss is no longer a number.
        SystemExit: On SIGTERM, after saving a checkpoint.
        KeyboardInterrupt: On Ctrl-C, after saving a checkpoint.
    """
    config = resolve_vocabulary(config, shards)
    if initial is not None:
        require_compatible(initial, config, shards)
    plan = RunPlan(config, out_dir, shards, initial, launch or LaunchConfig())
    with explain_lost_processes(), join_process_group() as ranks:
        require_agreement(config, plan.parents, ranks)
        # Both raise if the run is impossible, before anything is written.
        config.micro_batches_of(ranks.size)
        _build_loader(plan, ranks)
        with lock_run_dir(out_dir) if ranks.is_first else nullcontext():
            _train(plan, ranks, callbacks)
            return ranks.broadcast(lambda: require_best(out_dir))


def resolve_vocabulary(config: PretrainConfig, shards: Artifact) -> PretrainConfig:
    """Fill in the model's vocabulary size from the shards.

    Raises:
        ConfigError: If the configuration has another size.
    """
    size = shards.manifest().info_int("vocab_size")
    configured = config.model.vocab_size
    if configured not in (None, size):
        raise ConfigError(
            f"model.vocab_size is {configured}, but the tokenizer of {shards.path} has {size} "
            "tokens: leave model.vocab_size unset"
        )
    return config.with_vocab_size(size)


def _train(plan: RunPlan, ranks: Ranks, callbacks: Sequence[Callback]) -> None:
    """Train the remaining steps of a run; only rank 0 writes files and calls the callbacks."""
    checkpoint, notices = ranks.broadcast(lambda: _find_checkpoint(plan))
    if checkpoint is not None and checkpoint.manifest().info_bool("ended"):
        if ranks.is_first:  # it may have been killed after its last checkpoint and before this
            prune(plan.out_dir, plan.config.training.keep_last)
        return
    listeners = Callbacks([])
    if ranks.is_first:
        listeners = Callbacks([JsonlRecorder(plan.out_dir, step_of(checkpoint)), *callbacks])
    for notice in notices:
        listeners.on_notice(notice)
    plan = replace(plan, config=_resolve_micro_batch(plan, checkpoint, ranks))
    trainer = _build_trainer(plan, checkpoint, listeners, ranks)
    Session(plan, trainer, listeners, checkpoint).run()


def _find_checkpoint(plan: RunPlan) -> tuple[Artifact | None, list[str]]:
    """Find the checkpoint to resume from, with a sentence for each damaged one."""
    remove_leftovers(plan.out_dir)
    checkpoint, notices = latest_checkpoint(plan.out_dir)
    if checkpoint is not None:
        require_same_run(checkpoint, plan.config, plan.parents)
    return checkpoint, notices


def _resolve_micro_batch(
    plan: RunPlan, checkpoint: Artifact | None, ranks: Ranks
) -> PretrainConfig:
    """With ``fit_memory``, use the micro-batch size of the checkpoint, or find one that fits."""
    config = plan.config
    if not config.compute.fit_memory:
        return config
    if checkpoint is not None:
        return config.with_micro_batch(checkpoint.manifest().config_int("training", "micro_batch"))
    device = resolve_device(config.compute.device)
    if uses_fsdp(config.model, device, ranks, plan.launch):
        return config
    return config.with_micro_batch(fit_micro_batch(config, device, ranks))


def _build_loader(plan: RunPlan, ranks: Ranks) -> TokenLoader:
    return TokenLoader(
        ShardReader(plan.shards.directory, "train"),
        context_length=plan.config.model.context_length,
        batch_size=plan.config.training.micro_batch,
        config=plan.config.loader,
        rank=ranks.rank,
        world_size=ranks.size,
    )


def _build_trainer(
    plan: RunPlan, checkpoint: Artifact | None, callbacks: Callback, ranks: Ranks
) -> Trainer:
    """Build a trainer, restored from the checkpoint if there is one."""
    config, loader = plan.config, _build_loader(plan, ranks)
    device = resolve_device(config.compute.device)
    zero_residual = config.training.zero_init
    model = build_model(config.model, config.training.seed, zero_residual=zero_residual)
    origin = checkpoint or plan.initial
    if origin is not None:
        load_weights(model, origin.directory / WEIGHTS)
    layout = build_layout(model, device, config.compute, ranks, plan.launch)
    state, saved = None, None
    if checkpoint is not None:
        state = load_state(checkpoint, device)
        with state_errors(checkpoint):
            saved = Numerics(**state["numerics"])
    layout.set_numerics(_choose_numerics(layout, config, saved, callbacks))
    seed_dropout(config.training.seed, ranks)
    trainer = Trainer(layout, config, loader, _validation_batches(plan, ranks), callbacks)
    if checkpoint is not None and state is not None:
        with state_errors(checkpoint):
            trainer.restore(state, checkpoint.directory / SHARDED_STATE)
        trainer.metrics[SECONDS] = checkpoint.metrics().get(SECONDS, 0.0)
    return trainer


def _choose_numerics(
    layout: Layout, config: PretrainConfig, saved: Numerics | None, callbacks: Callback
) -> Numerics:
    """Keep the numerics of the checkpoint, or autotune those of a new run.

    On another machine only what affects the weights is kept, and the trials are repeated.
    """
    numerics = layout.numerics
    if saved is not None and saved.machine == numerics.machine:
        return saved
    if saved is not None:
        layout.set_numerics(
            replace(numerics, precision=saved.precision, bf16_residual=saved.bf16_residual)
        )
    with explain_failures(config, layout.device):
        return autotune(layout, config, time.perf_counter, callbacks.on_notice)


def _validation_batches(plan: RunPlan, ranks: Ranks) -> Callable[[], Iterator[Batch]] | None:
    """This rank's validation batches, the same in every evaluation; None if there is no text."""
    reader = ShardReader(plan.shards.directory, "validation")
    if reader.n_tokens < 2:
        return None
    training, context_length = plan.config.training, plan.config.model.context_length

    def batches() -> Iterator[Batch]:
        global_batches = sequential_batches(
            reader, context_length, training.micro_batch * ranks.size, training.eval_tokens
        )
        return (rows_of_rank(batch, ranks.rank, ranks.size) for batch in global_batches)

    return batches
