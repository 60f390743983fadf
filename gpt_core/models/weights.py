"""Weights as safetensors files."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from gpt_core.errors import CheckpointError
from gpt_core.files import Progress, atomic_write
from gpt_core.models.shapes import Shape

_DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters by name; a shared tensor (tied head) appears under its first name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_weights(model: nn.Module, path: Path) -> str:
    """Write a model's parameters as safetensors; a tied head is written once.

    Args:
        model: A GPT or a classifier.
        path: The file, which appears only when it is complete.
    """
    return write_tensors(weights_of(model), path)


def write_tensors(
    tensors: Mapping[str, Tensor],
    path: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    progress: Progress | None = None,
) -> str:
    """Write named tensors as safetensors, without a second copy of all of them in memory.

    The file is the length of a JSON header in 8 bytes, the header (each tensor's dtype, shape and
    offsets), and the values: the same bytes that the safetensors library writes, but hashed in
    the same pass.

    Args:
        tensors: Tensors by name; strided in any way and on any device.
        path: The file, which appears only when it is complete.
        metadata: Free-form strings for the header.
        progress: Receives ``tensors`` written.

    Returns:
        The file's SHA-256.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))  # all are aligned
    for name in names:
        start, end = end, end + tensors[name].nbytes
        dtype, shape = _DTYPE_NAMES[tensors[name].dtype], list(tensors[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    packed = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    packed += b" " * (-len(packed) % 8)
    head = len(packed).to_bytes(8, "little") + packed
    digest = hashlib.sha256(head)
    with ThreadPoolExecutor(max_workers=1) as hasher, atomic_write(path) as file:
        file.write(head)
        for done, name in enumerate(names, start=1):
            dense = tensors[name].detach().cpu().contiguous()
            content = dense.flatten().view(torch.uint8).numpy().data
            hashing = hasher.submit(digest.update, content)
            file.write(content)
            hashing.result()
            if progress is not None:
                progress("tensors", done, len(names))
    return digest.hexdigest()


def load_weights(model: nn.Module, path: Path) -> None:
    """Load saved parameters into a model.

    Args:
        model: A GPT or a classifier of the saved shape.
        path: A file written by ``save_weights``.

    Raises:
        CheckpointError: If the file is missing or damaged, or a tensor is missing, unexpected or
            of another shape.
    """
    wanted = weights_of(model)
    require_weights(path, ((name, tuple(tensor.shape)) for name, tensor in wanted.items()))
    with _reading(path):
        tensors = load_file(path)
    for name, tensor in wanted.items():
        tensor.copy_(tensors[name])


def require_weights(path: Path, shapes: Iterable[tuple[str, Shape]]) -> None:
    """Compare the header of a weights file with a model, before anything is allocated.

    Args:
        path: A file written by ``save_weights``.
        shapes: Name and shape of each parameter of the model.

    Raises:
        CheckpointError: If the file is missing or damaged, or naming the first tensor that is
            missing, unexpected, of another shape or not of floating-point numbers.
    """
    with _reading(path), safe_open(path, framework="pt") as tensors:
        left = set(tensors.keys())
        for name, shape in shapes:
            if name not in left:
                raise CheckpointError(f"{path} lacks the tensor {name} that this model has")
            left.remove(name)
            found = tensors.get_slice(name)
            if tuple(found.get_shape()) != shape:
                raise CheckpointError(
                    f"{path}: {name} has shape {tuple(found.get_shape())}, this model needs {shape}"
                )
            if found.get_dtype() not in _DTYPE_NAMES.values():
                raise CheckpointError(
                    f"{path}: {name} holds {found.get_dtype()}, not floating-point numbers"
                )
    if left:
        raise CheckpointError(f"{path} has the tensor {min(left)} that this model lacks")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate what a damaged weights file makes safetensors raise."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
