"""Read weight files: safetensors, in one file or sharded, and PyTorch's pickles.

A pickle can run any code when it is loaded. It is loaded here with ``weights_only=True``, which
allows tensors alone, and with a warning.
"""

import logging
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gpt_core.errors import CheckpointError, ConversionError, DataError
from gpt_core.files import read_json
from gpt_core.models import load_pickled

WEIGHTS, PICKLED = "model.safetensors", "pytorch_model.bin"
_INDEX = ".index.json"
_MAX_NAME = 200  # characters of a shard's name; file systems take at most 255 bytes
WEIGHTS_INDEX = f"{WEIGHTS}{_INDEX}"
_LOG = logging.getLogger(__name__)


def weight_files(directory: Path) -> list[Path]:
    """List a release's weight files; safetensors are preferred.

    Args:
        directory: With ``model.safetensors`` or ``pytorch_model.bin``, or either's
            ``.index.json`` with the shards that it names.

    Raises:
        ConversionError: If there are none, or an index names a file that is missing or in another
            directory.
    """
    for name in (WEIGHTS, PICKLED):
        if (directory / name).is_file():
            return [directory / name]
        if (directory / f"{name}{_INDEX}").is_file():
            return _shards(directory / f"{name}{_INDEX}")
    raise ConversionError(
        f"{directory} has no weights: {WEIGHTS} or {WEIGHTS_INDEX} with its shards should be there"
    )


def load_tensors(file: Path) -> dict[str, Tensor]:
    """Load the tensors of one file, memory-mapped.

    Raises:
        ConversionError: If it cannot be read, or is a pickle with another file extension.
    """
    return _load_pickled(file) if file.suffix == ".bin" else _load_safetensors(file)


def _shards(index: Path) -> list[Path]:
    try:
        places = read_json(index)["weight_map"]
        names = sorted(set(places.values()))
    except (DataError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{index} is no index of shards: it has no weight_map") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or len(name) > _MAX_NAME:
            raise ConversionError(f"{index} names {name!r}, which is no file beside it")
        if not _is_file(index.parent / name):
            raise ConversionError(f"{index} names {name}, which is not there")
    if not names:
        raise ConversionError(f"{index} names no file")
    return [index.parent / name for name in names]


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # no possible name
        return False


def _load_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        pickled = _begins(file, b"PK") or _begins(file, b"\x80")
        what = "is a pickle" if pickled else f"cannot be read as safetensors ({error})"
        raise ConversionError(f"{file} {what}: give the weights as safetensors") from error
    return tensors


def _load_pickled(file: Path) -> dict[str, Tensor]:
    _LOG.warning("%s is a pickle: nothing but its tensors is read; prefer safetensors", file)
    mapped = _begins(file, b"PK")  # the format before torch 1.6 cannot be mapped
    try:
        content = load_pickled(file, "weights", "cpu", mapped=mapped)
    except CheckpointError as error:
        raise ConversionError(f"{error}: give the weights as safetensors") from error
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise ConversionError(f"{file} does not hold tensors by name")
    return {str(name): tensor for name, tensor in content.items()}


def _begins(file: Path, mark: bytes) -> bool:
    with file.open("rb") as start:
        return start.read(len(mark)) == mark
