"""Which layout a run trains in."""

import torch

from gpt_core.config import LaunchConfig, TrainingConfig
from gpt_core.models import GPT, count_parameters
from gpt_core.training.layout import Layout, Replicas
from gpt_core.training.ranks import Ranks

_TRAINING_BYTES = 16  # of a parameter: itself, its gradient, two means
_LARGEST_SHARE = 0.5  # of a GPU's memory that they may take in every process


def lay_out(
    model: GPT,
    device: torch.device,
    training: TrainingConfig,
    ranks: Ranks | None = None,
    launch: LaunchConfig | None = None,
) -> Layout:
    """Bring a model to where it is trained.

    Args:
        model: On the processor, with its weights; they are the same in every process.
        device: Where this process computes.
        training: Whether to compile.
        ranks: The processes of the run; None for one.
        launch: Replicas or shares.
    """
    ranks, launch = ranks or Ranks(), launch or LaunchConfig()
    on = training.compile
    compiled = on == "on" or (on == "auto" and device.type == "cuda")
    if ranks.size == 1:
        return Layout(model.to(device), ranks, compiled=compiled)
    if launch.strategy == "ddp" or (launch.strategy == "auto" and _fits(model, device)):
        return Replicas(model.to(device), ranks, compiled=compiled)
    from gpt_core.training.sharding import Shares, share

    return Shares(share(model, device), ranks, compiled=compiled)


def _fits(model: GPT, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    memory = torch.cuda.get_device_properties(device).total_memory
    return _TRAINING_BYTES * count_parameters(model.config) <= _LARGEST_SHARE * memory
