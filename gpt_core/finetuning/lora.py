"""Low-rank adapters (LoRA) through PEFT: trained next to frozen weights, merged at the end.

A weight W of shape (out, in) becomes ``W + (alpha / rank) B A`` with A (rank, in) and B (out,
rank): only A and B are trained, and B starts at 0, so training starts from the unchanged model.

References:
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
"""

import re
from collections.abc import Sequence

from torch import Tensor, nn

from gpt_core.config import LoRAConfig
from gpt_core.errors import ConfigError


def add_adapters(
    model: nn.Module,
    config: LoRAConfig,
    blocks: Sequence[int],
    fully_trained: Sequence[str] = (),
) -> nn.Module:
    """Freeze a model and add adapters to the linear layers of its blocks.

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
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            "lora.rank needs the package peft: pip install 'gptflow[lora]', or set lora.rank=0"
        ) from error
    numbers = "|".join(map(str, blocks))
    layers = "|".join(map(re.escape, config.targets))
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # PEFT divides it by the rank
        lora_dropout=config.dropout,
        target_modules=rf"(.*\.)?h\.({numbers})\.({layers})",
        use_rslora=config.variant == "rslora",
        use_dora=config.variant == "dora",
        init_lora_weights="pissa" if config.variant == "pissa" else True,
        modules_to_save=list(fully_trained) or None,
    )
    wrapped: nn.Module = peft.PeftModel(model, settings)
    return wrapped


def merge_adapters(trained: nn.Module) -> tuple[nn.Module, dict[str, Tensor]]:
    """Add the adapters' updates to the model's own weights and remove the adapters.

    Args:
        trained: The wrapper from ``add_adapters``; a model without adapters is returned unchanged.

    Returns:
        The model, and the trained tensors under PEFT's names: adapters and fully trained modules.
    """
    merge = getattr(trained, "merge_and_unload", None)
    if merge is None:
        return trained, {}
    import peft

    tensors = peft.get_peft_model_state_dict(trained, save_embedding_layers=False)
    adapters = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    return merge(), adapters
