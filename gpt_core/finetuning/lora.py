"""Low-rank adapters through PEFT: trained beside frozen weights, merged into them at the end.

A weight W of shape (out, in) becomes ``W + (alpha / rank) B A`` with A (rank, in) and B (out,
rank): only A and B are trained, and B starts at 0, so that training starts from the model as it
was.

References:
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from gpt_core.config import LoRAConfig
from gpt_core.errors import ConfigError

_ADAPTED = r"(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)"  # a block's linear layers


def add_adapters(
    model: nn.Module,
    config: LoRAConfig,
    blocks: Sequence[int],
    trained_wholly: Sequence[str] = (),
) -> Any:
    """Freeze a model and put adapters beside the linear layers of its blocks.

    Args:
        model: A GPT or a classifier; it is changed in place.
        config: Rank, scale and dropout.
        blocks: Indices of the blocks that are adapted.
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
    numbers = "|".join(map(str, blocks))
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # PEFT divides it by the rank
        lora_dropout=config.dropout,
        target_modules=rf"(.*\.)?h\.({numbers})\.{_ADAPTED}",
        modules_to_save=list(trained_wholly) or None,
    )
    return peft.PeftModel(model, settings)


def merge_adapters(trained: Any) -> tuple[Any, dict[str, Tensor]]:
    """The model with the adapters added into its own weights, as if it had been trained whole.

    Args:
        trained: What ``add_adapters`` gave; a model without adapters comes back as it is.

    Returns:
        The model, and what was trained beside its own weights, under PEFT's names.
    """
    if not hasattr(trained, "merge_and_unload"):
        return trained, {}
    import peft

    tensors = peft.get_peft_model_state_dict(trained, save_embedding_layers=False)
    adapters = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    return trained.merge_and_unload(), adapters
