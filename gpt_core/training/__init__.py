"""Optimizer steps, checkpoints and the run that a kill cannot harm."""

from gpt_core.training.callbacks import (
    Callback,
    Callbacks,
    ProgressLines,
    RunInfo,
    read_records,
)
from gpt_core.training.checkpoint import best_checkpoint, latest_checkpoint
from gpt_core.training.optimizer import build_optimizer
from gpt_core.training.precision import autocast, resolve_precision
from gpt_core.training.pretrain import pretrain, resolve_vocabulary
from gpt_core.training.schedule import learning_rate_at
from gpt_core.training.trainer import Trainer

__all__ = [
    "Callback",
    "Callbacks",
    "ProgressLines",
    "RunInfo",
    "Trainer",
    "autocast",
    "best_checkpoint",
    "build_optimizer",
    "latest_checkpoint",
    "learning_rate_at",
    "pretrain",
    "read_records",
    "resolve_precision",
    "resolve_vocabulary",
]
