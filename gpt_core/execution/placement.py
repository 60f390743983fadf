"""Moves a model to its training device in the right layout: single process, DDP or FSDP."""

import torch

from gpt_core.config import ComputeConfig, GPTConfig, LaunchConfig
from gpt_core.errors import ConfigError
from gpt_core.execution.cpu import prepare_cpu
from gpt_core.execution.layout import DDPLayout, Layout
from gpt_core.execution.numerics import resolve_numerics
from gpt_core.execution.ranks import Ranks
from gpt_core.models import GPT, count_parameters

_TRAINING_BYTES = 16  # per parameter in fp32: weight, gradient and AdamW's two moments
_MAX_DDP_SHARE = 0.5  # of a GPU's memory that a full replica may take


def build_layout(
    model: GPT,
    device: torch.device,
    compute: ComputeConfig,
    ranks: Ranks | None = None,
    launch: LaunchConfig | None = None,
) -> Layout:
    """Move a model to its training device, replicated or sharded over the ranks.

    Args:
        model: On the CPU, with the same weights on every rank.
        device: This rank's device.
        compute: The settings of its numerics.
        ranks: The processes of the run; None for a single one.
        launch: DDP, FSDP or HSDP.

    Raises:
        ConfigError: If the device does not support a setting.
    """
    ranks, launch = ranks or Ranks(), launch or LaunchConfig()
    prepare_cpu(device)
    numerics = resolve_numerics(compute, device)
    if ranks.size == 1:
        return Layout(model.to(device), ranks, numerics)
    if not uses_fsdp(model.config, device, ranks, launch):
        return DDPLayout(model.to(device), ranks, numerics)
    if compute.fp8_head:
        raise ConfigError(
            "compute.fp8_head=true needs the whole model in every process: set "
            "launch.strategy=ddp or compute.fp8_head=false"
        )
    from gpt_core.execution.fsdp import FSDPLayout, HSDPLayout, shard_model  # slow to import

    if launch.strategy == "hsdp" and ranks.nodes > 1:
        return HSDPLayout(shard_model(model, device, ranks.nodes), ranks, numerics)
    return FSDPLayout(shard_model(model, device), ranks, numerics)


def uses_fsdp(config: GPTConfig, device: torch.device, ranks: Ranks, launch: LaunchConfig) -> bool:
    """Whether to use FSDP instead of DDP.

    Args:
        config: The model's shape, with ``vocab_size`` set.
        device: This rank's device.
        ranks: The processes of the run.
        launch: The strategy that is asked for.
    """
    if ranks.size == 1 or launch.strategy == "ddp":
        return False
    if launch.strategy != "auto" or device.type != "cuda":
        return launch.strategy != "auto"
    memory = torch.cuda.get_device_properties(device).total_memory
    return _TRAINING_BYTES * count_parameters(config) > _MAX_DDP_SHARE * memory
