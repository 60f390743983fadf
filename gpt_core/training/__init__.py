"""Pretraining: the loop, its checkpoints and resuming an interrupted run to the same bits."""

from gpt_core.training.checkpoint import best_checkpoint, latest_checkpoint
from gpt_core.training.pretraining import pretrain, resolve_vocabulary
from gpt_core.training.trainer import Trainer

__all__ = ["Trainer", "best_checkpoint", "latest_checkpoint", "pretrain", "resolve_vocabulary"]
