"""Sizes of a plan: what the data stages read and write, and what pretraining takes and costs."""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace

from flows.declarations import Flow
from gpt_core.config import FIXED_VOCAB_SIZES, GPTConfig, RunConfig
from gpt_core.models import count_parameters, flops_per_token
from gpt_core.object_paths import Location
from gpt_core.text.sources import file_entry, source_files
from gpt_core.training.throughput import gpu_memory, measure_training_flops
from tasks.launch import count_processes
from tasks.paths import project_root
from tasks.planning import PlannedStage
from tasks.reads import Source
from tasks.sources import present_file

Lines = list[tuple[str, str]]

_WEIGHT_BYTES = 28  # of a parameter in training: itself, its gradient, two means, a saved copy
_SAVED_BYTES = 12  # of a parameter in a checkpoint: itself and the two means
_GRADIENT_BYTES = 4  # of a parameter's gradient, which processes exchange
_LAYER_BYTES, _LOGIT_BYTES = 64, 16  # of an activation's element a layer and of a logit, measured
_ATTENTION_BYTES = 2  # of an attention weight, which training on a CPU keeps
_PROCESS_BYTES = 500e6  # of Python with torch, Prefect and MLflow, before any tensor
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
_SMALL_VOCABULARY = 1 << 16  # ids below take two bytes, others four


def data_sizes(flow: Flow, config: RunConfig, stages: Sequence[PlannedStage]) -> Lines:
    """Upper bounds of what the stages from raw text to token shards read and write."""
    file = _text_of(flow, config)
    encoding = next((stage for stage in stages if stage.name == "encode_corpus"), None)
    if encoding is None or file is None:
        return []
    files = source_files(file)
    n_bytes = sum(file_entry(each).st_size for each in files)
    width = 2 if _vocabulary(config, stages) <= _SMALL_VOCABULARY else 4
    shards, nodes = n_bytes * width, config.launch.nodes
    if encoding.done:
        shards = sum(f.bytes for f in encoding.artifact.manifest().files.values())
    at_most = "" if encoding.done else "at most "
    lines = [
        ("source", f"{_amount(n_bytes)} in {len(files):,} files, as they are stored"),
        ("token shards", f"{at_most}{_amount(shards)}, {width} bytes for a token"),
        ("disk of the data", f"{at_most}{_of(n_bytes + shards, _free_bytes(), 'free are')}"),
    ]
    if nodes > 1:
        each = f"{at_most}{_amount(shards / nodes)} read by each node in an epoch"
        lines.append(("bytes moved", each))
    return lines


def training_sizes(config: RunConfig, stages: Sequence[PlannedStage]) -> Lines:
    """Parameters, work, memory, disk, time and price of pretraining; nothing if there is none."""
    pretraining = next((stage for stage in stages if stage.name == "pretrain"), None)
    if pretraining is None:
        return []
    training, launch = config.training, config.launch
    model = replace(config.model, vocab_size=_vocabulary(config, stages))
    parameters = count_parameters(model)
    tokens = training.steps * training.tokens_per_step
    flops = tokens * flops_per_token(model)
    local = count_processes(launch, config.compute)
    disk = _SAVED_BYTES * parameters * (training.keep_last + 1)
    lines = [
        ("vocabulary", f"{model.vocab_size:,} tokens"),
        ("parameters", f"{parameters:,}"),
        ("pretraining reads", f"{tokens:,} tokens in {training.steps:,} steps"),
        ("pretraining computes", f"{flops:.3g} floating-point operations"),
        ("learning rate", _learning_rate(config)),
        *_processes(config, parameters, local),
        *_memory(config, model, local),
        ("disk, estimated", _of(disk, _free_bytes(), "free are")),
    ]
    if pretraining.done:
        return [*lines, ("time, estimated", "none, it is done")]
    return [*lines, *_time_and_price(config, model, flops, local)]


def _text_of(flow: Flow, config: RunConfig) -> Location | None:
    """The text that the flow starts from, if it is present."""
    sources = (read for read in flow.all_reads(config) if isinstance(read, Source))
    text = next((read for read in sources if read.role == "text"), None)
    return None if text is None else present_file(text)


def _processes(config: RunConfig, parameters: int, local: int) -> Lines:
    """How a step is divided, and what its processes exchange."""
    nodes, n_processes = config.launch.nodes, local * config.launch.nodes
    if n_processes == 1:
        return [("processes", "1")]
    places = f", {local} on each of {nodes} nodes" if nodes > 1 else ""
    each = config.pretrain.micro_batches_of(n_processes)
    tokens = config.training.tokens_per_step // n_processes
    exchanged = 2 * _GRADIENT_BYTES * parameters * (n_processes - 1) / n_processes
    return [
        ("processes", f"{n_processes}{places}"),
        ("tokens of a step", f"{config.training.tokens_per_step:,}, {tokens:,} in each process"),
        ("micro-batches of a step", f"{each} of {config.training.micro_batch} samples each"),
        ("gradients of a step", f"{_amount(exchanged)} sent by each process (ring all-reduce)"),
    ]


def _memory(config: RunConfig, model: GPTConfig, local: int) -> Lines:
    """The memory of a process, and of this machine's if they are on its CPU."""
    tensors = tensor_bytes(config, model, local)
    total = _of(local * (_PROCESS_BYTES + tensors), _MEMORY, "this machine has")
    gpu = gpu_memory(config.compute.device)
    if gpu is not None:
        return [("memory of a GPU, estimated", _of(tensors, gpu, "it has"))]
    if local * config.launch.nodes == 1:
        return [("memory, estimated", total)]
    each = _amount(_PROCESS_BYTES + tensors)
    return [("memory, estimated", f"{each} a process; {local} here: {total}")]


def tensor_bytes(config: RunConfig, model: GPTConfig, local: int) -> float:
    """Estimate the bytes of a process's tensors: weights with their state, and activations.

    Args:
        config: The settings of the run.
        model: Its model, with the vocabulary's size.
        local: Processes of a node.
    """
    assert model.vocab_size is not None
    shards = {"fsdp": local * config.launch.nodes, "hsdp": local}.get(config.launch.strategy, 1)
    attention = model.n_head * model.context_length * _ATTENTION_BYTES
    per_layer = model.n_embd * _LAYER_BYTES + attention
    per_token = model.n_layer * per_layer + model.vocab_size * _LOGIT_BYTES
    activations = config.training.micro_batch * model.context_length * per_token
    return _WEIGHT_BYTES * count_parameters(model) / shards + activations


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


def _time_and_price(config: RunConfig, model: GPTConfig, flops: float, local: int) -> Lines:
    """The time of pretraining, from the speed that this machine reaches now or is said to."""
    plan, nodes = config.plan, config.launch.nodes
    speed, how = plan.flops_per_second, "as plan.flops_per_second says"
    n_parts = local * nodes
    if speed is None:
        speed = measure_training_flops(replace(config.pretrain, model=model), time.perf_counter)
        on_gpus = gpu_memory(config.compute.device) is not None
        n_parts = n_parts if on_gpus else nodes  # a CPU's processes share the cores measured
        how = "measured just now"
    evaluations = config.training.steps // config.training.eval_every + 1
    evaluated = evaluations * config.training.eval_tokens * flops_per_token(model) / 3
    seconds = (flops + evaluated) / (speed * n_parts)
    text = f"{duration(seconds)} of pretraining at {speed / 1e9:.2g} GFLOP/s, {how}"
    if n_parts > 1:
        text += f", on {n_parts} such and if exchange takes no time"
    lines = [("time, estimated", f"{text}; the other stages come on top")]
    if plan.price_per_hour is not None:
        price = plan.price_per_hour * nodes * seconds / 3600
        rate = f"{plan.price_per_hour:g} for an hour of a node"
        lines.append(("price, estimated", f"{price:,.2f} for pretraining, at {rate}"))
    return lines


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


def _amount(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"


def _of(needed: float, there: float, words: str) -> str:
    enough = "" if needed <= there else ": NOT ENOUGH"
    return f"{_amount(needed)}, {words} {there / 1e9:,.1f} GB{enough}"


def _free_bytes() -> int:
    root = project_root()
    return shutil.disk_usage(next(p for p in (root, *root.parents) if p.exists())).free
