"""Shapes of a model's parameters, computed from its configuration without building it.

A configuration in a file may claim any size, so what it claims is compared with the weights file
before a tensor is allocated or a module is made.
"""

from collections.abc import Iterator

from gpt_core.config import GPTConfig

Shape = tuple[int, ...]


def parameter_shapes(config: GPTConfig) -> Iterator[tuple[str, Shape]]:
    """Yield the name and shape of each parameter of a GPT, in the order of its layers.

    Args:
        config: The model's shape, with ``vocab_size`` set.

    Yields:
        What ``GPT(config).named_parameters()`` has: (V, C) for the token embedding, (3 C, C) for
        the projection to queries, keys and values, and so on.
    """
    C, V = config.n_embd, config.vocab_size or 0
    yield "wte.weight", (V, C)
    yield "wpe.weight", (config.context_length, C)
    for layer in range(config.n_layer):
        for name, shape in _of_block(config):
            yield f"h.{layer}.{name}", shape
    yield from _of_norm("ln_f", config)
    if not config.tied_head:
        yield "lm_head.weight", (V, C)


def classifier_shapes(config: GPTConfig, n_classes: int) -> Iterator[tuple[str, Shape]]:
    """Yield the name and shape of each parameter of a classifier: a GPT without head, a score.

    Args:
        config: The GPT's shape, with ``vocab_size`` set.
        n_classes: Number of classes, K.
    """
    for name, shape in parameter_shapes(config):
        if name != "lm_head.weight":
            yield f"gpt.{name}", shape
    yield "score.weight", (n_classes, config.n_embd)
    yield "score.bias", (n_classes,)


def _of_block(config: GPTConfig) -> Iterator[tuple[str, Shape]]:
    C = config.n_embd
    yield from _of_norm("ln_1", config)
    yield from _of_linear("attn.c_attn", C, 3 * C, config)
    yield from _of_linear("attn.c_proj", C, C, config)
    yield from _of_norm("ln_2", config)
    yield from _of_linear("mlp.c_fc", C, 4 * C, config)
    yield from _of_linear("mlp.c_proj", 4 * C, C, config)


def _of_norm(name: str, config: GPTConfig) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (config.n_embd,)
    if config.bias:
        yield f"{name}.bias", (config.n_embd,)


def _of_linear(name: str, n_in: int, n_out: int, config: GPTConfig) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (n_out, n_in)
    if config.bias:
        yield f"{name}.bias", (n_out,)
