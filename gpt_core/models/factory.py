"""Build models from configurations; count parameters and FLOPs without building them."""

import torch

from gpt_core.config import GPTConfig, current_limits
from gpt_core.cores import physical_memory
from gpt_core.errors import ConfigError
from gpt_core.models.gpt import GPT

_BYTES_PER_PARAMETER = 4  # float32


def build_model(config: GPTConfig, seed: int | None = None, *, zero_residual: bool = False) -> GPT:
    """Build a GPT with newly initialized weights.

    Args:
        config: The model's shape, with ``vocab_size`` set.
        seed: Seed of the weights, which leaves torch's global generator untouched; None draws
            from the global generator.
        zero_residual: See ``GPT.initialize``.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.
    """
    model = allocate_model(config)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    model.initialize(generator, zero_residual=zero_residual)
    return model


def allocate_model(config: GPTConfig) -> GPT:
    """Allocate a GPT without drawing its weights: they are undefined until they are loaded.

    For a large model, drawing takes seconds. So the model is built on the meta device, where
    ``GPT`` skips ``initialize``; and ``Embedding`` draws nothing when it is constructed, because
    torch's own initialization would import its compiler even there, which takes 0.3 s.

    Args:
        config: The model's shape, with ``vocab_size`` set.

    Raises:
        ConfigError: If ``config.vocab_size`` is None, or the weights exceed the machine's memory.
    """
    require_memory(config)
    with torch.device("meta"):
        model = GPT(config)
    # As to_empty does, which imports torch's compiler too.
    model._apply(lambda tensor: torch.empty(tensor.shape))  # type: ignore[no-untyped-call]
    model.tie_head()  # leaving the meta device gave the head a weight of its own
    return model


def count_parameters(config: GPTConfig, *, include_positions: bool = True) -> int:
    """Count the parameters of a model of this shape.

    A norm has C scales and C shifts; attention projects C to 3 C and C to C; the feed-forward
    network C to 4 C and back; the embeddings have V and ``context_length`` rows of C.

    Args:
        config: The model's shape, with ``vocab_size`` set.
        include_positions: Include the position embedding.

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


def require_memory(config: GPTConfig) -> None:
    """Refuse a model whose weights alone exceed the machine's memory, or ``limits.memory_gib``.

    Raises:
        ConfigError: Naming the number of parameters, both sizes and the settings to lower.
    """
    n_parameters = count_parameters(config)
    allowed = current_limits().memory_gib
    there = physical_memory() if allowed is None else allowed * 2**30
    needed = n_parameters * _BYTES_PER_PARAMETER
    owner = "this machine's" if allowed is None else "the allowed"
    if needed > there:
        raise ConfigError(
            f"a model of n_layer={config.n_layer}, n_embd={config.n_embd}, context_length="
            f"{config.context_length} and vocab_size={config.vocab_size} has {n_parameters:,} "
            f"parameters, which take {needed / 2**30:,.1f} GiB of "
            f"{owner} {there / 2**30:,.1f} GiB: "
            "lower one of these settings of the model, or raise limits.memory_gib"
        )


def flops_per_token(config: GPTConfig) -> int:
    """FLOPs of one training step per token: ``6 N + 12 L H Q T``.

    N is the number of parameters without the position embedding, L layers, H heads, Q head width,
    T context length. Each weight takes part in one multiplication and one addition in the forward
    pass and twice as many in the backward pass, hence 6; the same count for the two matrix
    products of attention, T × Q each per head and layer, gives 12.

    Args:
        config: The model's shape, with ``vocab_size`` set.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.

    References:
        Chowdhery et al. 2022, "PaLM", appendix B.
    """
    attention = 12 * config.n_layer * config.n_embd * config.context_length
    return 6 * count_parameters(config, include_positions=False) + attention
