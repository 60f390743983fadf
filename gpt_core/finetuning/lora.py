"""Low-rank adapters (LoRA) through PEFT: trained next to frozen weights, merged at the end.

A weight W of shape (out, in) becomes ``W + (alpha / rank) B A`` with A (rank, in) and B (out,
rank): only A and B are trained, and B starts at 0, so training starts from the unchanged model.

References:
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1; Kalajdzievski
    2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA"; Liu et al. 2024, "DoRA:
    Weight-Decomposed Low-Rank Adaptation"; Meng et al. 2024, "PiSSA: Principal Singular Values and
    Singular Vectors Adaptation of Large Language Models".
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from gpt_core.config import GPTConfig, LoRAConfig
from gpt_core.models import GPTClassifier, import_peft, parameter_shapes, to_file_name

_INITIAL = "initial_adapter"  # attribute of PEFT's wrapper


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """An adapter that was trained, as it is saved."""

    settings: Mapping[str, object]
    """The content of PEFT's ``adapter_config.json``."""

    tensors: Mapping[str, Tensor]
    """Adapters and fully trained modules, by their names in the file."""


def add_adapters(
    model: nn.Module,
    config: LoRAConfig,
    blocks: Sequence[int],
    fully_trained: Sequence[str] = (),
) -> nn.Module:
    """Freeze a model and add adapters to linear layers of its blocks.

    Args:
        model: A GPT or a classifier; it is changed in place.
        config: Rank, scale, dropout, layers and variant.
        blocks: Indices of the blocks that get adapters.
        fully_trained: Names of modules that are trained themselves, such as a new head.

    Returns:
        PEFT's wrapper, to be trained and then passed to ``merge_adapters``.

    Raises:
        ConfigError: If PEFT is not installed.
    """
    peft = import_peft()
    numbers = "|".join(map(str, blocks))
    layers = "|".join(map(re.escape, config.targets))
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # PEFT divides it by the rank
        lora_dropout=config.dropout,
        target_modules=rf"(.*\.)?h\.({numbers})\.({layers})",
        modules_to_save=list(fully_trained) or None,
        use_rslora=config.variant == "rslora",
        use_dora=config.variant == "dora",
        init_lora_weights="pissa" if config.variant == "pissa" else True,
    )
    wrapped: nn.Module = peft.PeftModel(model, settings)
    if config.variant == "pissa":
        # PiSSA takes the first singular vectors out of the weights: they are needed to put them
        # back, and the wrapper is all that reaches merge_adapters.
        object.__setattr__(wrapped, _INITIAL, _tensors_of(wrapped))
    return wrapped


def merge_adapters(trained: nn.Module) -> tuple[nn.Module, TrainedAdapter | None]:
    """Add the adapters' updates to the model's own weights and remove the adapters.

    Args:
        trained: The wrapper from ``add_adapters``; a model without adapters is returned unchanged.

    Returns:
        The model, and the adapter for the weights before training; None if there was none.
    """
    merge = getattr(trained, "merge_and_unload", None)
    if merge is None:
        return trained, None
    wrapper = cast(Any, trained)
    given, tensors = wrapper.peft_config["default"], _tensors_of(trained)
    rank, alpha = given.r, float(given.lora_alpha)
    initial = getattr(trained, _INITIAL, None)
    if initial is not None:
        tensors = _without_initial(tensors, initial)
        rank, alpha = 2 * rank, 2 * alpha  # the same scale, alpha / rank
    layers = sorted({name.partition(".lora_")[0] for name in tensors if ".lora_" in name})
    is_classifier = isinstance(wrapper.get_base_model(), GPTClassifier)
    settings = {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS" if is_classifier else "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": rank,
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "lora_dropout": given.lora_dropout,
        "target_modules": [to_file_name(layer).partition("transformer.")[2] for layer in layers],
        "fan_in_fan_out": True,  # GPT-2 stores its weights as (in, out)
        "bias": "none",
        "use_rslora": given.use_rslora,
        "use_dora": given.use_dora,
        "init_lora_weights": True,
        "modules_to_save": ["score"] if is_classifier else None,
        "inference_mode": True,
    }
    named = {to_file_name(name): tensor for name, tensor in tensors.items()}
    return merge(), TrainedAdapter(settings, named)


def count_adapter_parameters(model: GPTConfig, config: LoRAConfig) -> int:
    """Count the parameters of adapters on all blocks, of variants that train A and B alone.

    Args:
        model: The model's shape, with ``vocab_size`` set.
        config: Rank and layers.

    Example:
        >>> count_adapter_parameters(GPTConfig(vocab_size=50257), LoRAConfig(rank=8))
        1179648
    """
    shapes = dict(parameter_shapes(model))
    adapted = (f"h.{layer}.{name}.weight" for layer in range(model.n_layer)
               for name in config.targets)  # fmt: skip
    return sum(config.rank * sum(shapes[name]) for name in adapted)


def adapter_metrics(model: nn.Module, adapter: TrainedAdapter, n_bytes: int) -> dict[str, float]:
    """Size of an adapter: parameters, also as a fraction of the model's, and bytes of its file.

    Args:
        model: The model with the adapter merged.
        adapter: The adapter.
        n_bytes: Size of its file of tensors.
    """
    n_trained = sum(math.prod(tensor.shape) for tensor in adapter.tensors.values())
    total = sum(parameter.numel() for parameter in model.parameters())
    return {
        "adapter_parameters": float(n_trained),
        "adapter_fraction": n_trained / total,
        "adapter_bytes": float(n_bytes),
    }


def _tensors_of(wrapper: nn.Module) -> dict[str, Tensor]:
    """The trained tensors by their names in gptflow's model."""
    found = import_peft().get_peft_model_state_dict(wrapper, save_embedding_layers=False)
    prefix = "base_model.model."
    return {
        name.removeprefix(prefix): tensor.detach().cpu().clone() for name, tensor in found.items()
    }


def _without_initial(
    tensors: Mapping[str, Tensor], initial: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """PiSSA's adapter as LoRA's: ``W - s B0 A0 + s B A`` is ``W + s [B, -B0] [A; A0]``."""
    converted = dict(tensors)
    for name, tensor in tensors.items():
        if ".lora_A." in name:
            converted[name] = torch.cat([tensor, initial[name]], dim=0)
        elif ".lora_B." in name:
            converted[name] = torch.cat([tensor, -initial[name]], dim=1)
    return converted
