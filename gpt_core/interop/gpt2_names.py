"""Names of GPT-2's tensors in OpenAI's release, in Hugging Face's format and in gptflow."""

from dataclasses import dataclass
from pathlib import Path

from gpt_core.config import GPTConfig
from gpt_core.errors import ConversionError


@dataclass(frozen=True, slots=True)
class TensorName:
    """One tensor's name in each format; ``{layer}`` stands for the index of a block."""

    tensorflow: str
    """Name in ``model.ckpt``; linear weights there have a leading dimension of 1."""

    huggingface: str
    """Name in ``model.safetensors``, without the prefix ``transformer.``."""

    ours: str
    """Name in ``GPT.named_parameters()``."""

    transposed: bool = False
    """Whether the other formats store this weight as (in, out); gptflow's is (out, in)."""


_OF_MODEL = (
    TensorName("model/wte", "wte.weight", "wte.weight"),
    TensorName("model/wpe", "wpe.weight", "wpe.weight"),
    TensorName("model/ln_f/g", "ln_f.weight", "ln_f.weight"),
    TensorName("model/ln_f/b", "ln_f.bias", "ln_f.bias"),
)
_HEAD = TensorName("", "lm_head.weight", "lm_head.weight")  # OpenAI's models are all tied
_OF_BLOCK = tuple(
    TensorName(f"model/h{{layer}}/{tensorflow}", f"h.{{layer}}.{ours}", f"h.{{layer}}.{ours}", flip)
    for tensorflow, ours, flip in (
        ("ln_1/g", "ln_1.weight", False),
        ("ln_1/b", "ln_1.bias", False),
        ("attn/c_attn/w", "attn.c_attn.weight", True),
        ("attn/c_attn/b", "attn.c_attn.bias", False),
        ("attn/c_proj/w", "attn.c_proj.weight", True),
        ("attn/c_proj/b", "attn.c_proj.bias", False),
        ("ln_2/g", "ln_2.weight", False),
        ("ln_2/b", "ln_2.bias", False),
        ("mlp/c_fc/w", "mlp.c_fc.weight", True),
        ("mlp/c_fc/b", "mlp.c_fc.bias", False),
        ("mlp/c_proj/w", "mlp.c_proj.weight", True),
        ("mlp/c_proj/b", "mlp.c_proj.bias", False),
    )
)


def tensor_names(config: GPTConfig) -> list[TensorName]:
    """List the names of all tensors of a model.

    Args:
        config: Shape of the model: number of layers, and whether the head is tied.
    """
    names = list(_OF_MODEL)
    for layer in range(config.n_layer):
        names.extend(
            TensorName(
                name.tensorflow.format(layer=layer),
                name.huggingface.format(layer=layer),
                name.ours.format(layer=layer),
                name.transposed,
            )
            for name in _OF_BLOCK
        )
    return names if config.tied_head else [*names, _HEAD]


def require_layers(config: GPTConfig, n_tensors: int, source: Path) -> None:
    """Refuse a number of layers that a file cannot hold, before their names are listed.

    Args:
        config: Shape of the model.
        n_tensors: Number of tensors in the file.
        source: The file.

    Raises:
        ConversionError: If there are fewer tensors than layers.
    """
    if config.n_layer > n_tensors:
        raise ConversionError(
            f"{source} has {n_tensors} tensors, too few for a model of {config.n_layer} layers"
        )
