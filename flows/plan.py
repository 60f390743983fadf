"""What a run would do, without doing it: stages, sizes, and the time to expect."""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tasks.stages  # noqa: F401, which fills the table of stages
from flows.display import short
from flows.preflight import given_checkpoint, given_tokenizer
from gpt_core.artifact import Artifact
from gpt_core.config import FIXED_VOCAB_SIZES, GPTConfig, RunConfig
from gpt_core.models import count_parameters, flops_per_token
from gpt_core.text import register_source
from gpt_core.training.throughput import measure_training_flops
from tasks.caching import cached_artifact, stage_key
from tasks.hub import release_of
from tasks.launch import count_processes
from tasks.paths import artifact_dir, project_root
from tasks.sources import PublicSource, Role, find_source, placed_file
from tasks.specs import STAGES

_WEIGHT_BYTES = 28  # of a parameter in training: itself, its gradient, two means, a saved copy
_SAVED_BYTES = 12  # of a parameter in a checkpoint: itself and the two means
_LAYER_BYTES, _LOGIT_BYTES = 64, 16  # of an activation's element a layer and of a logit, measured
_ATTENTION_BYTES = 2  # of an attention weight, which training on a processor keeps
_PROCESS_BYTES = 500e6  # of Python with torch, Prefect and MLflow, before any tensor
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage and whether its result is there."""

    name: str
    artifact: Artifact | None
    begun: str = ""
    """How far a stage is that was stopped."""


def print_plan(flow: str, config: RunConfig, console: Console) -> None:
    """Print the resolved plan of a flow.

    Raises:
        ConfigError: If a source is unknown.
        DataError: If a source cannot be read.
    """
    stages = plan_stages(flow, config)
    table = Table(box=None, pad_edge=False, expand=False)
    for column in ("stage", "state", "where"):
        table.add_column(column, no_wrap=True, overflow="fold")
    for stage in stages:
        state = "done" if stage.artifact else stage.begun or "to do"
        where = str(short(stage.artifact.directory)) if stage.artifact else ""
        table.add_row(stage.name, state, where)
    console.print(f"gptflow {flow}: {config.name}, from {config.source}\n", highlight=False)
    console.print(table, soft_wrap=True)
    pretraining = next((stage for stage in stages if stage.name == "pretrain"), None)
    if pretraining is not None:
        console.print()
        for name, value in _sizes(config, stages, done=pretraining.artifact is not None):
            console.print(f"  {name:<26}{value}", markup=False, highlight=False, soft_wrap=True)


def plan_stages(flow: str, config: RunConfig) -> list[PlannedStage]:
    """Each stage of a flow with its result, if that is there."""
    with tempfile.TemporaryDirectory() as folder:
        planner = _Planner(config, Path(folder))
        planner.follow(flow)
        return planner.stages


class _Planner:
    """Follows a flow's way over the keys of its stages.

    Args:
        config: The run's.
        folder: For the records of sources.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.stages: list[PlannedStage] = []
        self._config, self._folder = config, folder

    def follow(self, flow: str) -> None:
        """Note the stages of a flow."""
        config = self._config
        if flow == "import-gpt2":
            self._imported()
            return
        if flow == "compare-tokenizers":
            self._comparison()
            return
        if flow == "compare-models":
            self._benchmarks()
            return
        reads_text = config.checkpoint is None or flow in ("run", "prepare", "pretrain", "evaluate")
        shards = self._shards() if reads_text else None
        if flow == "prepare":
            return
        checkpoint = self._checkpoint(shards, alone=flow == "pretrain")
        if flow == "release":
            self._stage("export_huggingface", checkpoint)
        if flow in ("run", "evaluate"):
            measuring = (config.evaluation, config.generation)
            self._stage("evaluate_language_model", checkpoint, shards, *measuring)
        if flow in ("run", "classify"):
            messages = self._raw(config.classification.source, "classification")
            tuning = (config.classification, config.lora)
            self._stage("finetune_classifier", checkpoint, messages, *tuning)
        if flow in ("run", "instruct"):
            examples = self._raw(config.instruction.source, "instruction")
            answering = (config.instruction, config.lora)
            self._stage("finetune_instructions", checkpoint, examples, *answering)

    def _corpus(self) -> Artifact | None:
        config = self._config
        raw = self._raw(config.source, "text", config.reading.boundaries)
        return self._stage("clean_corpus", raw, config.reading, config.cleaning)

    def _comparison(self) -> None:
        config, corpus = self._config, self._corpus()
        reports = []
        for name, wanted in config.comparison.candidates(config.tokenizer).items():
            tokenizer = (
                given_tokenizer(wanted)
                if isinstance(wanted, Path)
                else self._stage("train_tokenizer", corpus, wanted)
            )
            alone = replace(config.comparison, tokenizers=(name,))
            reports.append(self._stage("measure_tokenizer", corpus, tokenizer, alone))
        self._stage("compare_tokenizers", reports if all(reports) else None)

    def _benchmarks(self) -> None:
        config = self._config.benchmarks
        sources = {name: self._raw(source, name) for name, source in config.sources().items()}
        known = sources if all(sources.values()) else None
        reports = []
        for label, named in config.by_label().items():
            checkpoint = self._imported() if named == "gpt2" else given_checkpoint(named)
            alone = replace(config, checkpoints=(label,))
            reports.append(self._stage("run_benchmarks", checkpoint, known, alone))
        self._stage("compare_models", reports if all(reports) else None)

    def _shards(self) -> Artifact | None:
        config, corpus = self._config, self._corpus()
        tokenizer = self._stage("train_tokenizer", corpus, config.tokenizer)
        return self._stage("encode_corpus", corpus, tokenizer, config.shards)

    def _checkpoint(self, shards: Artifact | None, *, alone: bool) -> Artifact | None:
        config = self._config
        if alone or config.checkpoint is None:
            return self._stage("pretrain", shards, config.pretrain)
        if config.checkpoint == "gpt2":
            return self._imported()
        return given_checkpoint(config.checkpoint)

    def _imported(self) -> Artifact | None:
        release = release_of(self._config.gpt2)
        if release is None:
            return self._stage("import_gpt2", self._raw(self._config.gpt2.source, "text"))
        if not release.folder.is_dir():
            self.stages.append(PlannedStage(f"fetch {release.repository}", None, "to fetch"))
            return self._stage("import_gpt2", None)
        return self._stage("import_gpt2", register_source(release.folder, self._folder / "gpt2"))

    def _stage(self, name: str, *inputs: object) -> Artifact | None:
        """A stage is done only if all its inputs are there."""
        known = all(value is not None for value in inputs)
        key = stage_key(STAGES[name], *inputs) if known else ""
        artifact = cached_artifact(key) if known else None
        begun = ""
        if known and artifact is None and name == "pretrain":
            begun = _steps_done(artifact_dir("checkpoint", self._config.name, key))
        self.stages.append(PlannedStage(name, artifact, begun))
        return artifact

    def _raw(self, source: str, role: Role, companion: str | None = None) -> Artifact | None:
        """The source's record, if its file is there; it is noted if it is to be fetched."""
        found = find_source(source, role)
        path = placed_file(source, found) if isinstance(found, PublicSource) else found
        if isinstance(found, PublicSource) and not path.exists():
            state = f"to fetch, {found.bytes:,} bytes"
            self.stages.append(PlannedStage(f"fetch {source}", None, state))
            return None
        return register_source(path, self._folder / role, companion=companion)


def _steps_done(run_dir: Path) -> str:
    """The newest checkpoint of a run that was stopped."""
    newest = max((file.parent.name for file in run_dir.glob("step-*/manifest.json")), default="")
    return f"begun, {newest.replace('-', ' ').replace(' 0', ' ')}" if newest else ""


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
        ("processes", f"{n_processes}"),
        ("memory, estimated", _of(n_processes * each, _MEMORY, "this machine has")),
        ("disk, estimated", _of(disk, _free_bytes(), "free are")),
        ("time, estimated", "none, it is done" if done else _time(config, model, flops)),
    ]


def _vocabulary(config: RunConfig, stages: Sequence[PlannedStage]) -> int:
    """The vocabulary that the model will have, as far as it is known."""
    tokenizer = next(stage.artifact for stage in stages if stage.name == "train_tokenizer")
    if tokenizer is not None:
        return tokenizer.manifest().info_int("vocab_size")
    fixed = FIXED_VOCAB_SIZES.get(config.tokenizer.kind)
    return fixed or config.tokenizer.vocab_size or FIXED_VOCAB_SIZES["gpt2"]


def _time(config: RunConfig, model: GPTConfig, flops: float) -> str:
    """The time of pretraining, from the speed that this machine reaches now."""
    speed = measure_training_flops(replace(config.pretrain, model=model), time.perf_counter)
    evaluations = config.training.steps // config.training.eval_every + 1
    evaluated = evaluations * config.training.eval_tokens * flops_per_token(model) / 3
    seconds = (flops + evaluated) / speed
    return f"{duration(seconds)} of pretraining at {speed / 1e9:.2g} GFLOP/s, measured just now"


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
