"""Models from configurations, and what they cost, computed without building them."""

import torch

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError
from gpt_core.models.gpt import GPT


def build_model(config: GPTConfig, seed: int | None = None, *, zero_residual: bool = False) -> GPT:
    """A GPT with fresh weights.

    Args:
        config: The shape, with ``vocab_size`` set.
        seed: Of the weights; None draws from torch's global generator. A seed leaves the global
            generator as it was.
        zero_residual: See ``GPT.initialize``.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.
    """
    model = allocate_model(config)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    model.initialize(generator, zero_residual=zero_residual)
    return model


def allocate_model(config: GPTConfig) -> GPT:
    """A GPT whose weights are yet to be filled: no time is spent on drawing them.

    Args:
        config: The shape, with ``vocab_size`` set.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.
    """
    with torch.device("meta"):
        model = GPT(config)
    # As to_empty does, but that imports half of torch's compiler, which takes a third of a second.
    model._apply(lambda tensor: torch.empty(tensor.shape))  # type: ignore[no-untyped-call]
    model.tie_head()  # moving from the meta device gave the head a weight of its own
    return model


def count_parameters(config: GPTConfig, *, include_positions: bool = True) -> int:
    """The number of parameters of a model of this shape.

    A norm has C scales and C shifts; attention projects C to 3 C and C to C; the feed-forward
    network C to 4 C and back; the embeddings have V and ``context_length`` rows of C.

    Args:
        config: The shape, with ``vocab_size`` set.
        include_positions: Count the position embedding too.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.

    Example:
        >>> count_parameters(GPTConfig(vocab_size=50257))
        124439808
    """
    if config.vocab_size is None:
        raise ConfigError(
            "model.vocab_size must be known to count parameters: it is the tokenizer's"
        )
    C, bias = config.n_embd, int(config.bias)
    norm = C * (1 + bias)
    attention = 4 * C * C + bias * 4 * C
    feed_forward = 8 * C * C + bias * 5 * C
    heads = 1 if config.tied_head else 2
    embeddings = config.vocab_size * C * heads + (
        config.context_length * C if include_positions else 0
    )
    return config.n_layer * (2 * norm + attention + feed_forward) + norm + embeddings


def flops_per_token(config: GPTConfig) -> int:
    """Floating-point operations of training on one token: 6 N + 12 L H Q T.

    N counts all parameters but the position embedding; L layers, H heads, Q head width, T the
    context length. A weight takes part in one multiplication and one addition forward and twice
    that backward, hence 6; the same count for the two matrix products of attention, T × Q each a
    head and layer, gives 12.

    Args:
        config: The shape, with ``vocab_size`` set.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.

    References:
        Chowdhery et al. 2022, "PaLM", appendix B.
    """
    attention = 12 * config.n_layer * config.n_embd * config.context_length
    return 6 * count_parameters(config, include_positions=False) + attention
