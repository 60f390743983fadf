"""Print what a run would do: its stages with their states, sizes, and the expected time."""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from flows.declarations import Flow
from flows.display import short
from gpt_core.config import FIXED_VOCAB_SIZES, GPTConfig, RunConfig
from gpt_core.models import count_parameters, flops_per_token
from gpt_core.training.throughput import measure_training_flops
from tasks.launch import count_processes
from tasks.paths import project_root
from tasks.planning import PlannedStage, planning

_WEIGHT_BYTES = 28  # of a parameter in training: itself, its gradient, two means, a saved copy
_SAVED_BYTES = 12  # of a parameter in a checkpoint: itself and the two means
_LAYER_BYTES, _LOGIT_BYTES = 64, 16  # of an activation's element a layer and of a logit, measured
_ATTENTION_BYTES = 2  # of an attention weight, which training on a CPU keeps
_PROCESS_BYTES = 500e6  # of Python with torch, Prefect and MLflow, before any tensor
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def print_plan(flow: Flow, config: RunConfig, console: Console) -> None:
    """Print the stages of a flow with their states, and the size of its pretraining.

    Raises:
        ConfigError: If a source is unknown.
        DataError: If a source cannot be read.
    """
    planned = plan_stages(flow, config)
    table = Table(box=None, pad_edge=False, expand=False)
    any_done = any(stage.done for stage in planned)
    for column in ("stage", "state", "where" if any_done else ""):
        table.add_column(column, no_wrap=True, overflow="fold")
    for stage in planned:
        where = str(short(stage.artifact.directory)) if stage.done else ""
        table.add_row(stage.name, stage.state, where)
    origin = flow.origin(config)
    console.print(f"gptflow {flow.name}: {config.name}, from {origin}\n", highlight=False)
    console.print(table, soft_wrap=True)
    pretraining = next((stage for stage in planned if stage.name == "pretrain"), None)
    if pretraining is not None:
        console.print()
        for name, value in _sizes(config, planned, done=pretraining.done):
            console.print(f"  {name:<26}{value}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nNothing was run. The same command without --dry-run runs it.", highlight=False)


def plan_stages(flow: Flow, config: RunConfig) -> list[PlannedStage]:
    """The stages of a flow, found by its own function in a planning context."""
    function = flow.function()
    with planning(config.name) as plan:
        function(config)
    return plan.stages


def _sizes(
    config: RunConfig, stages: Sequence[PlannedStage], *, done: bool
) -> list[tuple[str, str]]:
    """Parameters, work, memory, disk and time of pretraining."""
    training = config.training
    vocabulary = _vocabulary(config, stages)
    model = replace(config.model, vocab_size=vocabulary)
    parameters = count_parameters(model)
    tokens = training.steps * training.tokens_per_step
    flops = tokens * flops_per_token(model)
    attention = model.n_head * model.context_length * _ATTENTION_BYTES
    per_layer = model.n_embd * _LAYER_BYTES + attention
    per_token = model.n_layer * per_layer + vocabulary * _LOGIT_BYTES
    micro_batch = training.micro_batch * model.context_length
    n_processes = count_processes(config.launch, config.compute)
    each = _PROCESS_BYTES + _WEIGHT_BYTES * parameters + micro_batch * per_token
    disk = _SAVED_BYTES * parameters * (training.keep_last + 1)
    return [
        ("vocabulary", f"{vocabulary:,} tokens"),
        ("parameters", f"{parameters:,}"),
        ("pretraining reads", f"{tokens:,} tokens in {training.steps:,} steps"),
        ("pretraining computes", f"{flops:.3g} floating-point operations"),
        ("learning rate", _learning_rate(config)),
        ("processes", f"{n_processes}"),
        ("memory, estimated", _of(n_processes * each, _MEMORY, "this machine has")),
        ("disk, estimated", _of(disk, _free_bytes(), "free are")),
        ("time, estimated", "none, it is done" if done else _time(config, model, flops)),
    ]


def _learning_rate(config: RunConfig) -> str:
    schedule = config.schedule
    return (
        f"{config.optimizer.learning_rate:g} at its peak, {schedule.kind}, "
        f"{schedule.warmup_steps:,} steps of warm-up, {config.optimizer.kind}"
    )


def _vocabulary(config: RunConfig, stages: Sequence[PlannedStage]) -> int:
    """The size of the model's vocabulary; an upper bound while there is no tokenizer."""
    tokenizer = next(stage for stage in stages if stage.name == "train_tokenizer")
    if tokenizer.done:
        return tokenizer.artifact.manifest().info_int("vocab_size")
    fixed = FIXED_VOCAB_SIZES.get(config.tokenizer.kind)
    return fixed or config.tokenizer.vocab_size or FIXED_VOCAB_SIZES["gpt2"]


def _time(config: RunConfig, model: GPTConfig, flops: float) -> str:
    """The time of pretraining, from the speed that this machine reaches now."""
    speed = measure_training_flops(replace(config.pretrain, model=model), time.perf_counter)
    evaluations = config.training.steps // config.training.eval_every + 1
    evaluated = evaluations * config.training.eval_tokens * flops_per_token(model) / 3
    seconds = (flops + evaluated) / speed
    return (
        f"{duration(seconds)} of pretraining at {speed / 1e9:.2g} GFLOP/s, measured just now; "
        "the other stages come on top"
    )


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(40), duration(200), duration(9000)
        ('40 s', '3.3 minutes', '2.5 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} minutes" if minutes < 90 else f"{minutes / 60:,.1f} hours"


def _of(needed: float, there: float, words: str) -> str:
    enough = "" if needed <= there else ": NOT ENOUGH"
    amount = f"{needed / 1e9:,.1f} GB" if needed >= 1e9 else f"{needed / 1e6:,.0f} MB"
    return f"{amount}, {words} {there / 1e9:,.1f} GB{enough}"


def _free_bytes() -> int:
    root = project_root()
    return shutil.disk_usage(next(p for p in (root, *root.parents) if p.exists())).free
