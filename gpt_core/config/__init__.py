"""Every choice, typed and checked, in one place: no torch, no file but the one that is asked for.

A configuration is a tree of frozen dataclasses with ``RunConfig`` at its root. Presets name whole
trees, a TOML file and ``section.field=value`` settings change single leaves. Numbers that follow
from others are properties, not settings.
"""

from gpt_core.config.ablation import AblationConfig, AblationRow
from gpt_core.config.anatomy import AnatomyConfig
from gpt_core.config.compute import ComputeConfig
from gpt_core.config.data import IGNORED, LoaderConfig, ShardConfig
from gpt_core.config.differences import find_difference
from gpt_core.config.engine import EngineConfig
from gpt_core.config.evaluation import (
    Benchmark,
    BenchmarkConfig,
    ComparisonConfig,
    EvaluationConfig,
)
from gpt_core.config.finetuning import (
    ClassificationConfig,
    FinetuningConfig,
    InstructionConfig,
)
from gpt_core.config.generation import DecodingConfig
from gpt_core.config.judging import JudgeConfig, Scale
from gpt_core.config.limits import LimitsConfig, current_limits, use_limits
from gpt_core.config.loading import build_config, load_config, override_config, read_toml
from gpt_core.config.lora import LoRAConfig, LoRATarget, LoRAVariant
from gpt_core.config.model import BigramConfig, GPTConfig
from gpt_core.config.notify import NotifyConfig, NotifyEvent
from gpt_core.config.planning import PlanConfig
from gpt_core.config.prediction import PredictionConfig
from gpt_core.config.preference import PreferenceConfig
from gpt_core.config.presets import PRESETS
from gpt_core.config.recording import RegistryConfig, TrackingConfig
from gpt_core.config.run import GPT2ImportConfig, PretrainConfig, RunConfig
from gpt_core.config.store import StoreConfig
from gpt_core.config.text import (
    FIXED_VOCAB_SIZES,
    CleaningConfig,
    ReadingConfig,
    TokenizerConfig,
)
from gpt_core.config.training import (
    LaunchConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
    split_address,
)

__all__ = [
    "FIXED_VOCAB_SIZES",
    "IGNORED",
    "PRESETS",
    "AblationConfig",
    "AblationRow",
    "AnatomyConfig",
    "Benchmark",
    "BenchmarkConfig",
    "BigramConfig",
    "ClassificationConfig",
    "CleaningConfig",
    "ComparisonConfig",
    "ComputeConfig",
    "DecodingConfig",
    "EngineConfig",
    "EvaluationConfig",
    "FinetuningConfig",
    "GPT2ImportConfig",
    "GPTConfig",
    "InstructionConfig",
    "JudgeConfig",
    "LaunchConfig",
    "LimitsConfig",
    "LoRAConfig",
    "LoRATarget",
    "LoRAVariant",
    "LoaderConfig",
    "NotifyConfig",
    "NotifyEvent",
    "OptimizerConfig",
    "PlanConfig",
    "PredictionConfig",
    "PreferenceConfig",
    "PretrainConfig",
    "ReadingConfig",
    "RegistryConfig",
    "RunConfig",
    "Scale",
    "ScheduleConfig",
    "ShardConfig",
    "StoreConfig",
    "TokenizerConfig",
    "TrackingConfig",
    "TrainingConfig",
    "build_config",
    "current_limits",
    "find_difference",
    "load_config",
    "override_config",
    "read_toml",
    "split_address",
    "use_limits",
]
