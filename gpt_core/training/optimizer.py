"""AdamW that decays matrices only."""

import inspect

import torch
from torch import nn

from gpt_core.config import OptimizerConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """An optimizer over the parameters that are trained.

    Matrices and embeddings decay; norms and biases, whose size is not a matter of overfitting, do
    not.

    Args:
        model: On the device on which it is trained.
        config: Learning rate, decay and moments.

    References:
        Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = {"fused": True} if "fused" in inspect.signature(torch.optim.AdamW).parameters else {}
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        **fused,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use a learning rate for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
