"""The root of the configuration, and the sections that pretraining depends on."""

from dataclasses import dataclass, field, replace
from typing import Literal

from gpt_core.config.ablation import AblationConfig
from gpt_core.config.anatomy import AnatomyConfig
from gpt_core.config.checks import require, require_named
from gpt_core.config.compute import ComputeConfig
from gpt_core.config.data import LoaderConfig, ShardConfig
from gpt_core.config.engine import EngineConfig
from gpt_core.config.evaluation import BenchmarkConfig, ComparisonConfig, EvaluationConfig
from gpt_core.config.finetuning import (
    ClassificationConfig,
    InstructionConfig,
)
from gpt_core.config.generation import DecodingConfig
from gpt_core.config.judging import JudgeConfig
from gpt_core.config.limits import LimitsConfig
from gpt_core.config.lora import LoRAConfig
from gpt_core.config.model import GPTConfig
from gpt_core.config.notify import NotifyConfig
from gpt_core.config.planning import PlanConfig
from gpt_core.config.prediction import PredictionConfig
from gpt_core.config.preference import PreferenceConfig
from gpt_core.config.recording import RegistryConfig, TrackingConfig
from gpt_core.config.section import Section
from gpt_core.config.store import StoreConfig
from gpt_core.config.text import CleaningConfig, ReadingConfig, TokenizerConfig
from gpt_core.config.training import (
    LaunchConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
)
from gpt_core.errors import ConfigError

_FP8_TILE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class GPT2ImportConfig(Section):
    """Where released GPT-2 weights come from."""

    source: str = "gpt2"
    """A directory with a release in Hugging Face's or OpenAI's form, or ``hub:OWNER/NAME`` or
    ``hub:OWNER/NAME@REVISION`` of a model hub."""

    size: Literal["124M", "355M", "774M", "1558M"] | None = None
    """OpenAI's release of this size, from a model hub; it goes before ``source``."""

    mirrors: tuple[str, ...] = ("https://huggingface.co",)
    """The hubs that are asked, one after the other."""

    def __post_init__(self) -> None:
        require_named(self, "source")
        require(bool(self.mirrors), "mirrors must name at least one hub's address")
        for mirror in self.mirrors:
            require(
                mirror.startswith(("https://", "http://")),
                f"mirrors must be addresses that begin with https://, got {mirror!r:.200}",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig(Section):
    """Every setting that affects pretrained weights; the token shards are passed separately."""

    model: GPTConfig = field(default_factory=GPTConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    generation: DecodingConfig = field(default_factory=DecodingConfig)
    """Decoding settings for the periodic samples."""

    def __post_init__(self) -> None:
        training, T = self.training, self.model.context_length
        per_micro_batch = training.micro_batch * T
        nearest = per_micro_batch * max(1, round(training.tokens_per_step / per_micro_batch))
        require(
            training.tokens_per_step % per_micro_batch == 0,
            f"training.tokens_per_step ({training.tokens_per_step}) must be a multiple of "
            f"training.micro_batch × model.context_length ({training.micro_batch} × {T}): "
            f"try training.tokens_per_step={nearest}",
        )
        require(
            self.schedule.warmup_steps <= training.steps,
            f"schedule.warmup_steps ({self.schedule.warmup_steps}) must not exceed training.steps "
            f"({training.steps}): try schedule.warmup_steps={training.steps // 10}",
        )
        if self.compute.fp8_head:
            self._require_fp8_tiles()

    @property
    def micro_batches_per_step(self) -> int:
        """Micro-batches whose gradients are accumulated in one step."""
        return self.training.tokens_per_step // (
            self.training.micro_batch * self.model.context_length
        )

    def _require_fp8_tiles(self) -> None:
        """Raise unless the head's matrices divide into FP8 tiles."""
        samples, T = self.training.micro_batch, self.model.context_length
        sides = {
            "model.n_embd": self.model.n_embd,
            "training.micro_batch × model.context_length": samples * T,
        }
        for name, size in sides.items():
            require(
                size % _FP8_TILE == 0,
                f"compute.fp8_head=true needs multiples of {_FP8_TILE}: {name} is {size}",
            )

    def with_vocab_size(self, vocab_size: int) -> "PretrainConfig":
        """The same configuration with the model's vocabulary size filled in."""
        return replace(self, model=replace(self.model, vocab_size=vocab_size))

    def with_micro_batch(self, micro_batch: int) -> "PretrainConfig":
        """The same configuration with another micro-batch size."""
        return replace(self, training=replace(self.training, micro_batch=micro_batch))

    def micro_batches_of(self, n_processes: int) -> int:
        """Micro-batches per step and process.

        Raises:
            ConfigError: If the processes cannot divide a step evenly.
        """
        training, context = self.training, self.model.context_length
        each, rest = divmod(training.tokens_per_step // context, n_processes)  # samples
        require(
            rest == 0,
            f"{n_processes} processes cannot share a step of {training.tokens_per_step} tokens: "
            f"set training.tokens_per_step to a multiple of {n_processes * context}",
        )
        if each % training.micro_batch:
            fitting = max(n for n in range(1, training.micro_batch) if each % n == 0)
            raise ConfigError(
                f"each of {n_processes} processes has {each} samples of a step, which "
                f"{training.micro_batch} at once do not divide: set training.micro_batch={fitting}"
            )
        return each // training.micro_batch


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig(Section):
    """One run of the pipeline, from the source to the fine-tuned models."""

    name: str = "run"
    """Names the run in the records and its artifacts on disk."""

    source: str = "samples"
    """A named source (``data/sources.toml``), or a path or an address (``s3://BUCKET/KEY``,
    ``gs://``, ``file://``) of text, JSON, JSONL, CSV, TSV, Parquet, a folder of these, or gz or zip
    of these."""

    checkpoint: str | None = None
    """The model that is evaluated and fine-tuned: a checkpoint's directory, a registered model such
    as ``models:/NAME@champion``, or ``gpt2`` for the release in ``gpt2.source``; None pretrains
    one."""

    reading: ReadingConfig = field(default_factory=ReadingConfig)
    cleaning: CleaningConfig = field(default_factory=CleaningConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    shards: ShardConfig = field(default_factory=ShardConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    model: GPTConfig = field(default_factory=GPTConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    generation: DecodingConfig = field(default_factory=DecodingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)
    benchmarks: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    gpt2: GPT2ImportConfig = field(default_factory=GPT2ImportConfig)
    classification: ClassificationConfig = field(default_factory=ClassificationConfig)
    instruction: InstructionConfig = field(default_factory=InstructionConfig)
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    lora: LoRAConfig = field(default_factory=LoRAConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    predict: PredictionConfig = field(default_factory=PredictionConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    anatomy: AnatomyConfig = field(default_factory=AnatomyConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)

    def __post_init__(self) -> None:
        require_named(self, "source", "checkpoint")
        plain_name = self.name.replace("-", "").replace("_", "").replace(".", "")
        require(
            plain_name.isalnum() and plain_name.isascii() and len(self.name) <= 64,
            f"name must be ASCII letters, digits, '-', '_' and '.', at most 64, got {self.name!r}",
        )
        pretrain = self.pretrain  # its checks span sections, so they run before anything starts
        pretrain.micro_batches_of((self.launch.processes or 1) * self.launch.nodes)

    @property
    def pretrain(self) -> PretrainConfig:
        """The sections that pretraining depends on."""
        return PretrainConfig(
            model=self.model,
            loader=self.loader,
            optimizer=self.optimizer,
            schedule=self.schedule,
            training=self.training,
            compute=self.compute,
            generation=self.generation,
        )
