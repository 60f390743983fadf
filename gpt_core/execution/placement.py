"""Which layout a run trains in."""

import torch

from gpt_core.config import GPTConfig, LaunchConfig, TrainingConfig
from gpt_core.errors import ConfigError
from gpt_core.execution.cpu import make_ready
from gpt_core.execution.layout import Layout, Replicas
from gpt_core.execution.numerics import settled
from gpt_core.execution.ranks import Ranks
from gpt_core.models import GPT, count_parameters

_TRAINING_BYTES = 16  # of a parameter: itself, its gradient, two means
_FP8_TILE = 16
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
        training: How to compute, and what to keep for the gradients.
        ranks: The processes of the run; None for one.
        launch: Replicas or shares.

    Raises:
        ConfigError: If the device cannot compute as it is told to.
    """
    model.set_execution(recompute=training.recompute)
    ranks, launch = ranks or Ranks(), launch or LaunchConfig()
    make_ready(device)
    if training.fp8_head:
        _require_tiles(model.config, training)
    computing = settled(training, device)
    if ranks.size == 1:
        return Layout(model.to(device), ranks, computing)
    if not is_shared(model.config, device, ranks, launch):
        return Replicas(model.to(device), ranks, computing)
    if training.fp8_head:
        raise ConfigError(
            "training.fp8_head=true needs the whole model in every process: set "
            "launch.strategy=ddp or training.fp8_head=false"
        )
    from gpt_core.execution.fsdp import Shares, share

    return Shares(share(model, device), ranks, computing)


def _require_tiles(config: GPTConfig, training: TrainingConfig) -> None:
    """Refuse products that cannot be computed in 8 bits.

    Raises:
        ConfigError: If a side of a product is not a multiple of 16.
    """
    sides = {
        "model.n_embd": config.n_embd,
        "training.micro_batch × model.context_length": training.micro_batch * config.context_length,
    }
    for name, size in sides.items():
        if size % _FP8_TILE:
            raise ConfigError(
                f"training.fp8_head=true needs multiples of {_FP8_TILE}: {name} is {size}"
            )


def is_shared(config: GPTConfig, device: torch.device, ranks: Ranks, launch: LaunchConfig) -> bool:
    """Whether each process gets a share of the model only.

    Args:
        config: The model's shape, with ``vocab_size`` set.
        device: Where this process computes.
        ranks: The processes of the run.
        launch: What was asked for.
    """
    if ranks.size == 1 or launch.strategy == "ddp":
        return False
    if launch.strategy == "fsdp" or device.type != "cuda":
        return launch.strategy == "fsdp"
    memory = torch.cuda.get_device_properties(device).total_memory
    return _TRAINING_BYTES * count_parameters(config) > _LARGEST_SHARE * memory
