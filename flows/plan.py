"""What a run would do, without doing it: stages, sizes, and the time to expect."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gpt_core.artifact import Artifact
from gpt_core.config import GPTConfig, RunConfig
from gpt_core.errors import DataError
from gpt_core.models import count_parameters, flops_per_token
from gpt_core.models.speed import measured_flops
from gpt_core.text import register_source
from tasks.caching import cached_artifact
from tasks.sources import PublicSource, Role, find_source, placed_file

_FIXED_VOCABULARIES = {"byte": 257, "gpt2": 50_257}
_UTILIZATION = 0.35  # of the measured speed of matrix products, as training reaches it


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage and whether its result is there."""

    name: str
    artifact: Artifact | None


def print_plan(config: RunConfig, console: Console) -> None:
    """Print the resolved plan.

    Raises:
        ConfigError: If a source is unknown.
    """
    table = Table(title=f"Plan of {config.name}", title_justify="left", box=None, pad_edge=False)
    for column in ("stage", "state", "where"):
        table.add_column(column)
    stages = list(plan_stages(config))
    for stage in stages:
        state = "done" if stage.artifact else "to do"
        table.add_row(stage.name, state, stage.artifact.path if stage.artifact else "")
    console.print(table)
    vocabulary = _vocabulary(config, stages)
    model = replace(config.model, vocab_size=vocabulary)
    console.print()
    for name, value in _sizes(config, model).items():
        console.print(f"  {name:<34}{value:>22}", markup=False, highlight=False)


def plan_stages(config: RunConfig) -> Iterator[PlannedStage]:
    """Each stage of a whole run with its result, if that is there."""
    with tempfile.TemporaryDirectory() as folder:
        raw = _raw(config.source, "text", Path(folder) / "text")
        corpus = _next("clean_corpus", raw, config.reading, config.cleaning)
        tokenizer = _next("train_tokenizer", corpus.artifact, config.tokenizer)
        shards = _next("encode_corpus", corpus.artifact, tokenizer.artifact, config.shards)
        checkpoint = _next("pretrain", shards.artifact, config.pretrain)
        yield from (corpus, tokenizer, shards, checkpoint)
        yield _next(
            "evaluate_language_model",
            checkpoint.artifact, shards.artifact, config.evaluation, config.generation,
        )  # fmt: skip
        messages = _raw(config.classification.source, "classification", Path(folder) / "messages")
        classification = (config.classification, config.lora)
        yield _next("finetune_classifier", checkpoint.artifact, messages, *classification)
        examples = _raw(config.instruction.source, "instruction", Path(folder) / "examples")
        instruction = (config.instruction, config.lora)
        yield _next("finetune_instructions", checkpoint.artifact, examples, *instruction)


def _next(name: str, *inputs: object) -> PlannedStage:
    """A stage is done only if all its inputs are there."""
    known = all(value is not None for value in inputs)
    return PlannedStage(name, cached_artifact(name, *inputs) if known else None)


def _raw(source: str, role: Role, out_dir: Path) -> Artifact | None:
    """The source's record, if its file is there; an empty or missing one is a mistake."""
    found = find_source(source, role)
    path = placed_file(source, found) if isinstance(found, PublicSource) else found
    if isinstance(found, PublicSource) and not path.exists():
        if not found.url:
            raise DataError(f"{source} is not published as one file: put it at {path}")
        return None
    return register_source(path, out_dir)


def _vocabulary(config: RunConfig, stages: list[PlannedStage]) -> int:
    """The vocabulary that the model will have, as far as it is known."""
    tokenizer = next(stage.artifact for stage in stages if stage.name == "train_tokenizer")
    if tokenizer is not None:
        return int(tokenizer.manifest()["info"]["vocab_size"])
    fixed = _FIXED_VOCABULARIES.get(config.tokenizer.kind)
    return fixed or config.tokenizer.vocab_size or _FIXED_VOCABULARIES["gpt2"]


def _sizes(config: RunConfig, model: GPTConfig) -> dict[str, str]:
    """Parameters, work, memory, disk and time of pretraining."""
    training = config.training
    parameters = count_parameters(model)
    tokens = training.steps * training.tokens_per_step
    flops = tokens * flops_per_token(model)
    per_token = model.n_layer * model.n_embd * 40 + 3 * (model.vocab_size or 0) * 4
    memory = 16 * parameters + training.micro_batch * model.context_length * per_token
    disk = 12 * parameters * (training.keep_last + 1)
    seconds = flops / (measured_flops(time.perf_counter) * _UTILIZATION)
    return {
        "parameters": f"{parameters:,}",
        "vocabulary": f"{model.vocab_size:,}",
        "training tokens": f"{tokens:,}",
        "FLOPs of pretraining": f"{flops:.3g}",
        "memory of pretraining (estimate)": f"{memory / 1e9:,.2f} GB",
        "disk of checkpoints": f"{disk / 1e9:,.2f} GB",
        "time of pretraining (estimate)": f"{seconds:,.0f} s",
    }
