"""Read GPT-2 in Hugging Face's format: ``config.json`` and ``model.safetensors``."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError, ConversionError, DataError
from gpt_core.files import read_json
from gpt_core.interop.gpt2_names import require_layers, tensor_names
from gpt_core.interop.weight_files import load_tensors, weight_files
from gpt_core.models import parameter_shapes

CONFIG = "config.json"
PREFIX = "transformer."
_MASKS = (".attn.bias", ".attn.masked_bias")  # causal masks, saved like weights
_REQUIRED = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # two names of one formula
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "reorder_and_upcast_attn": (False,),
    "add_cross_attention": (False,),
}


def read_gpt2_config(directory: Path) -> GPTConfig:
    """Read the shape of a model from a release's ``config.json``.

    Args:
        directory: Directory of the release.

    Raises:
        ConversionError: If it is not GPT-2, or a variant that gptflow's model does not support.
    """
    file = directory / CONFIG
    try:
        settings = read_json(file)
    except DataError as error:
        raise ConversionError(f"{error}: {directory} should hold a GPT-2 release") from error
    if not isinstance(settings, dict) or settings.get("model_type", "gpt2") != "gpt2":
        found = settings.get("model_type") if isinstance(settings, dict) else settings
        raise ConversionError(f"{file}: model_type must be 'gpt2', not {found!r}")
    for name, allowed in _REQUIRED.items():
        if settings.get(name, allowed[0]) not in allowed:
            raise ConversionError(
                f"{file}: {name}={settings[name]!r} is another architecture, gptflow's GPT has "
                f"{name}={allowed[0]!r}"
            )
    for name in ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size"):
        if type(settings.get(name)) is not int:
            raise ConversionError(f"{file}: {name} must be a number, got {settings.get(name)!r}")
    try:
        config = GPTConfig(
            n_layer=settings["n_layer"],
            n_head=settings["n_head"],
            n_embd=settings["n_embd"],
            context_length=settings["n_positions"],
            vocab_size=settings["vocab_size"],
            layer_norm_epsilon=settings.get("layer_norm_epsilon", 1e-5),
            tied_head=settings.get("tie_word_embeddings", True),
        )
    except (TypeError, ConfigError) as error:
        raise ConversionError(f"{file} does not describe a GPT-2: {error}") from error
    if settings.get("n_inner") not in (None, 4 * config.n_embd):
        raise ConversionError(
            f"{file}: n_inner={settings['n_inner']} must be 4 × n_embd ({4 * config.n_embd})"
        )
    return config


def read_eos_id(directory: Path) -> int | None:
    """The id that ends a document, or None if a release's ``config.json`` does not say."""
    settings = read_json(directory / CONFIG)
    found = settings.get("eos_token_id") if isinstance(settings, dict) else None
    return found if type(found) is int else None


def read_gpt2_tensors(directory: Path, config: GPTConfig) -> dict[str, Tensor]:
    """Read a release's weights under gptflow's names and layout, memory-mapped from the files.

    Args:
        directory: Directory of the release.
        config: Shape that the weights must have.

    Raises:
        ConversionError: If there are no weights or they cannot be read, or naming the first
            tensor that is missing, misshapen, not of numbers, or unknown.
    """
    files = weight_files(directory)
    file = files[0]
    tensors: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in load_tensors(file).items():
            short = name.removeprefix(PREFIX)
            if short in tensors:
                raise ConversionError(f"{file} has {short} a second time")
            if not short.endswith(_MASKS):
                tensors[short] = tensor
    if config.tied_head and "lm_head.weight" in tensors:
        _require_tied(tensors, file)
        del tensors["lm_head.weight"]
    return rename_tensors(tensors, config, file)


def rename_tensors(
    tensors: Mapping[str, Tensor], config: GPTConfig, source: Path
) -> dict[str, Tensor]:
    """Rename and transpose Hugging Face's tensors to gptflow's layout, as views.

    Args:
        tensors: Tensors by Hugging Face's name without prefix.
        config: Shape that they must have.
        source: File they come from, for errors.

    Raises:
        ConversionError: Naming the first tensor that is missing, misshapen, not of numbers, or
            unknown.
    """
    require_layers(config, len(tensors), source)
    shapes = dict(parameter_shapes(config))
    names = tensor_names(config)
    unknown = sorted(tensors.keys() - {name.huggingface for name in names})
    if unknown:
        raise ConversionError(f"{source} has a tensor {unknown[0]} that GPT-2 does not have")
    renamed = {}
    for name in names:
        if name.huggingface not in tensors:
            raise ConversionError(f"{source} lacks the tensor {name.huggingface}")
        tensor = tensors[name.huggingface]
        wanted = shapes[name.ours]
        needed = tuple(reversed(wanted)) if name.transposed else wanted
        if tensor.shape != needed:
            raise ConversionError(
                f"{source}: {name.huggingface} has shape {tuple(tensor.shape)}, a model of the "
                f"shape in {CONFIG} needs {needed}"
            )
        if not tensor.is_floating_point():
            raise ConversionError(
                f"{source}: {name.huggingface} holds {tensor.dtype}, not floating-point numbers"
            )
        if not _is_finite(tensor):
            raise ConversionError(
                f"{source}: {name.huggingface} holds NaN or infinite numbers: fetch the file again"
            )
        renamed[name.ours] = (tensor.T if name.transposed else tensor).float()
    return renamed


def _is_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite; their sum is not either, unless it overflows."""
    return math.isfinite(tensor.sum(dtype=torch.float64).item()) or bool(
        torch.isfinite(tensor).all()
    )


def _require_tied(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Raise if the head differs from the embedding although the config ties them."""
    embedding, head = tensors.get("wte.weight"), tensors["lm_head.weight"]
    if embedding is not None and not torch.equal(embedding, head):
        raise ConversionError(
            f"{file}: lm_head.weight differs from wte.weight, but {CONFIG} ties them: set "
            "tie_word_embeddings to false there"
        )
