"""Read GPT-2 in OpenAI's format: ``hparams.json`` and a TensorFlow checkpoint."""

from pathlib import Path

import torch
from torch import Tensor

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError, ConversionError, DataError
from gpt_core.files import read_json
from gpt_core.interop.gpt2_huggingface import rename_tensors
from gpt_core.interop.gpt2_names import require_layers, tensor_names
from gpt_core.interop.tf_checkpoint import TensorFlowCheckpoint

HPARAMS = "hparams.json"
_SETTINGS = {
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
    "n_ctx": "context_length",
    "n_vocab": "vocab_size",
}


def read_openai_config(directory: Path) -> GPTConfig:
    """Read the shape of a model from a release's ``hparams.json``.

    Args:
        directory: Directory of the release.

    Raises:
        ConversionError: If the file is damaged or does not describe a GPT-2.
    """
    file = directory / HPARAMS
    try:
        settings = read_json(file)
    except DataError as error:
        raise ConversionError(f"{error}: {directory} should hold a GPT-2 release") from error
    if not isinstance(settings, dict):
        raise ConversionError(f"{file} does not describe a GPT-2: it should be a JSON object")
    for name in _SETTINGS:
        if type(settings.get(name)) is not int:
            raise ConversionError(f"{file}: {name} must be a number, got {settings.get(name)!r}")
    try:
        return GPTConfig(**{ours: settings[theirs] for theirs, ours in _SETTINGS.items()})
    except ConfigError as error:
        raise ConversionError(f"{file} does not describe a GPT-2: {error}") from error


def read_openai_tensors(directory: Path, config: GPTConfig) -> dict[str, Tensor]:
    """Read a release's weights under gptflow's names and layout, memory-mapped and verified.

    Args:
        directory: Directory of the release.
        config: Shape that the weights must have.

    Raises:
        ConversionError: If there is not one index, or naming the file and the first tensor that
            is missing, damaged, misshapen or unknown.
    """
    file = openai_index(directory)
    checkpoint = TensorFlowCheckpoint(file.with_suffix(""))
    require_layers(config, len(checkpoint.entries), file)
    names = tensor_names(config)
    unknown = sorted(checkpoint.entries.keys() - {name.tensorflow for name in names})
    if unknown:
        raise ConversionError(f"{file} has a tensor {unknown[0]} that GPT-2 does not have")
    tensors = {}
    for name in names:
        tensor = torch.from_numpy(checkpoint.read(name.tensorflow))
        # OpenAI's linear layers are convolutions of width 1, so their weights have 3 dimensions.
        tensors[name.huggingface] = tensor.squeeze(0) if name.transposed else tensor
    return rename_tensors(tensors, config, file)


def openai_index(directory: Path) -> Path:
    """Find the index file of the only TensorFlow checkpoint in a directory.

    Args:
        directory: Directory of the release.

    Raises:
        ConversionError: If there is none, or more than one.
    """
    found = sorted(directory.glob("*.index"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ConversionError(
            f"{directory} should hold one TensorFlow checkpoint (model.ckpt.index and its data "
            f"file), found {names}"
        )
    return found[0]
