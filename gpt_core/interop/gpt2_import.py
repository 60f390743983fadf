"""GPT-2 weights in the Hugging Face form, into a checkpoint of ours."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gpt_core.artifact import Artifact, new_artifact, plain
from gpt_core.config import GPT2ImportConfig, GPTConfig
from gpt_core.errors import ConfigError, ConversionError, DataError
from gpt_core.files import Progress, read_json, sha256_file, write_json
from gpt_core.interop.gpt2_names import tensor_names
from gpt_core.models import GPT, save_weights
from gpt_core.tokenizers import GPT2Tokenizer, Tokenizer, load_tokenizer

_PREFIX = "transformer."
_MASKS = (".attn.bias", ".attn.masked_bias")  # causal masks, saved as if they were weights
_REQUIRED = {
    "activation_function": ("gelu_new",),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "reorder_and_upcast_attn": (False,),
    "add_cross_attention": (False,),
}


def import_gpt2(directory: Path, out_dir: Path, *, progress: Progress | None = None) -> Artifact:
    """A directory with ``config.json``, ``model.safetensors`` and a vocabulary, as a checkpoint.

    Args:
        directory: The release. Its vocabulary is ``encoder.json`` and ``vocab.bpe``, or
            ``vocab.json`` and ``merges.txt``, or a ``tokenizer`` folder of gptflow.
        out_dir: Where the checkpoint goes.
        progress: Told of ``tensors``.

    Returns:
        A checkpoint artifact.

    Raises:
        ConversionError: Naming the file and the tensor or setting that does not fit.
        DataError: If the vocabulary is missing.
    """
    config = read_gpt2_config(directory)
    tensors = read_gpt2_tensors(directory, config)
    tokenizer = _read_tokenizer(directory)
    if tokenizer.vocab_size != config.vocab_size:
        raise ConversionError(
            f"{directory}: the model has {config.vocab_size} tokens, its vocabulary "
            f"{tokenizer.vocab_size}: they do not belong together"
        )
    model = build_from_tensors(config, tensors, directory, progress)
    source = {"model.safetensors": sha256_file(directory / "model.safetensors")}
    with new_artifact(out_dir, kind="checkpoint", config=(GPT2ImportConfig(), source)) as draft:
        save_weights(model, draft.directory / "model.safetensors")
        tokenizer.save(draft.directory / "tokenizer")
        description = {"kind": "imported", "step": 0, "model": plain(config)}
        write_json(draft.directory / "config.json", description)
        draft.info |= {"step": 0, "kind": "imported"}
        draft.metrics["parameters"] = float(sum(p.numel() for p in model.parameters()))
    return draft.artifact


def read_gpt2_config(directory: Path) -> GPTConfig:
    """The shape in a release's ``config.json``.

    Raises:
        ConversionError: If it is no GPT-2, or a GPT-2 of a variant that our model is not.
    """
    file = directory / "config.json"
    try:
        settings: dict[str, Any] = read_json(file)
    except DataError as error:
        raise ConversionError(f"{error}: {directory} should hold a GPT-2 release") from error
    if settings.get("model_type", "gpt2") != "gpt2":
        raise ConversionError(f"{file}: model_type is {settings['model_type']!r}, not 'gpt2'")
    for name, allowed in _REQUIRED.items():
        if settings.get(name, allowed[0]) not in allowed:
            raise ConversionError(f"{file}: {name}={settings[name]!r} is not supported")
    if settings.get("n_inner") not in (None, 4 * settings.get("n_embd", 0)):
        raise ConversionError(f"{file}: n_inner={settings['n_inner']} is not 4 × n_embd")
    try:
        return GPTConfig(
            n_layer=settings["n_layer"],
            n_head=settings["n_head"],
            n_embd=settings["n_embd"],
            context_length=settings["n_positions"],
            vocab_size=settings["vocab_size"],
            layer_norm_epsilon=settings.get("layer_norm_epsilon", 1e-5),
            tied_head=settings.get("tie_word_embeddings", True),
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise ConversionError(f"{file} does not describe a GPT-2: {error}") from error


def read_gpt2_tensors(directory: Path, config: GPTConfig) -> dict[str, Tensor]:
    """A release's tensors without prefix and masks.

    Raises:
        ConversionError: If there is no safetensors file or it cannot be read.
    """
    file = directory / "model.safetensors"
    if not file.is_file():
        pickled = directory / "pytorch_model.bin"
        instead = f" ({pickled.name} is a pickle, which is not read)" if pickled.is_file() else ""
        raise ConversionError(f"{file} does not exist{instead}: give weights as safetensors")
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ConversionError(f"{file} cannot be read as safetensors: {error}") from error
    named = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
    named = {name: tensor for name, tensor in named.items() if not name.endswith(_MASKS)}
    if config.tied_head:
        named.pop("lm_head.weight", None)
    return named


def build_from_tensors(
    config: GPTConfig,
    tensors: dict[str, Tensor],
    source: Path,
    progress: Progress | None = None,
) -> GPT:
    """A model with a release's tensors in it.

    Raises:
        ConversionError: Naming the first tensor that is missing, misshapen or unknown.
    """
    with torch.random.fork_rng(devices=[]):
        model = GPT(config)
    parameters = dict(model.named_parameters())
    names = tensor_names(config)
    unknown = sorted(tensors.keys() - {name.huggingface for name in names})
    if unknown:
        raise ConversionError(f"{source} has a tensor {unknown[0]} that GPT-2 does not have")
    for done, name in enumerate(names, start=1):
        if name.huggingface not in tensors:
            raise ConversionError(f"{source} lacks the tensor {name.huggingface}")
        tensor, parameter = tensors[name.huggingface], parameters[name.ours]
        tensor = tensor.T if name.transposed else tensor
        if tensor.shape != parameter.shape:
            raise ConversionError(
                f"{source}: {name.huggingface} has shape "
                f"{tuple(tensors[name.huggingface].shape)}, which does not fit {config.n_embd=}"
            )
        with torch.no_grad():
            parameter.copy_(tensor)
        if progress is not None:
            progress("tensors", done, len(names))
    return model.eval()


def _read_tokenizer(directory: Path) -> Tokenizer:
    if (directory / "tokenizer").is_dir():
        return load_tokenizer(directory / "tokenizer")
    return GPT2Tokenizer.from_release(directory)
