"""Learning rates that differ by parameter: less for lower blocks, another for the head."""

import re

from torch import nn

_BLOCK = re.compile(r"(?:^|\.)h\.(\d+)\.")
_EMBEDDING = re.compile(r"(?:^|\.)w[tp]e\.")
_HEAD = re.compile(r"(?:^|\.)(score|lm_head)\.")


def rate_factors(model: nn.Module, layer_decay: float, head: float) -> dict[str, float]:
    """The factor of each parameter's learning rate.

    With L blocks, block i (from 0) has ``layer_decay ** (L - i)`` and the embeddings have
    ``layer_decay ** (L + 1)``; the final norm has 1. A head that is tied to the embeddings is
    one of them.

    Args:
        model: A GPT or a classifier, perhaps with adapters.
        layer_decay: Ratio of a block's rate to that of the block above it.
        head: Factor of the head.

    Returns:
        The factors by the names of the parameters.

    References:
        Howard and Ruder 2018, "Universal Language Model Fine-tuning", section 3.2; Clark et al.
        2020, "ELECTRA", appendix B.
    """
    names = [name for name, _ in model.named_parameters()]
    blocks = {name: int(found[1]) for name in names if (found := _BLOCK.search(name))}
    n_layer = max(blocks.values(), default=-1) + 1
    factors = {}
    for name in names:
        if name in blocks:
            factors[name] = layer_decay ** (n_layer - blocks[name])
        elif _EMBEDDING.search(name):
            factors[name] = layer_decay ** (n_layer + 1)
        else:
            factors[name] = head if _HEAD.search(name) else 1.0
    return factors
