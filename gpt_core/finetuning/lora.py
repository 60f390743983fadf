"""Low-rank adapters through PEFT: trained beside frozen weights, merged into them at the end.

References:
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
"""

from typing import Any

from torch import nn

from gpt_core.config import LoRAConfig
from gpt_core.errors import ConfigError

_TARGETS = r"(.*\.)?h\.\d+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)"


def add_adapters(model: nn.Module, config: LoRAConfig, trained_wholly: tuple[str, ...] = ()) -> Any:
    """Freeze a model and put adapters beside the linear layers of its blocks.

    Args:
        model: A GPT or a classifier; it is changed in place.
        config: Rank, scale and dropout.
        trained_wholly: Names of modules that have no trained weights to adapt, such as a new head.

    Returns:
        PEFT's wrapper; train it, then ``merge_adapters`` it.

    Raises:
        ConfigError: If PEFT is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            "lora.rank needs the package peft: pip install 'gptflow[lora]', or set lora.rank=0"
        ) from error
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # PEFT divides it by the rank
        lora_dropout=config.dropout,
        target_modules=_TARGETS,
        modules_to_save=list(trained_wholly) or None,
    )
    return peft.PeftModel(model, settings)


def merge_adapters(wrapped: Any) -> nn.Module:
    """The model with the adapters added into its own weights, as if it had been trained whole."""
    merged: nn.Module = wrapped.merge_and_unload()
    return merged
