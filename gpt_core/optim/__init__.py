"""Updating the weights: learning-rate schedules, AdamW and Muon, weight averaging."""

from gpt_core.optim.averaging import WeightAverage
from gpt_core.optim.factors import rate_factors
from gpt_core.optim.optimizer import Optimizers, OptimizersState, build_optimizer
from gpt_core.optim.schedule import learning_rate_at

__all__ = [
    "Optimizers",
    "OptimizersState",
    "WeightAverage",
    "build_optimizer",
    "learning_rate_at",
    "rate_factors",
]
