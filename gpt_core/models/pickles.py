"""Load tensors that ``torch.save`` wrote, from a file that may be forged.

A pickle can run any code when it is loaded. ``weights_only=True`` allows tensors and plain values,
but also calls such as ``bytearray(10**12)``; so the pickle's instructions are read first, and may
name nothing but what ``torch.save`` writes for tensors. What these may take is bounded as well:
torch stores its tensors unpacked, so a file that unpacks to more than it has is not one of torch.
"""

import io
import pickle  # nosec B403
import pickletools  # nosec B403
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from gpt_core.errors import CheckpointError

_FAILURES = (
    OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    MemoryError, OverflowError, AssertionError, ImportError, zipfile.BadZipFile,
    NotImplementedError,
)  # fmt: skip


_NAMES = re.compile(
    r"collections OrderedDict|torch Size|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (?!Untyped|Typed)[A-Z]\w*Storage"
)
"""The names in a file of tensors: the types of storages, and the functions that cut them out."""

_LEGACY_PICKLES = 5  # one after the other: two versions, the system, the tensors, their keys
_LEGACY_TENSORS = 3
_SHARED = 2  # a tied head is stored once and has two names


def load_pickled(file: Path, what: str, device: torch.device | str, *, mapped: bool) -> object:
    """Load the tensors and plain values of a file.

    Args:
        file: A file of ``torch.save``.
        what: What it should be, for errors, such as "training state".
        device: Device of the tensors.
        mapped: Whether to map the file instead of reading it.

    Raises:
        CheckpointError: If it is missing or damaged, unpacks to more than its size, or holds
            anything but tensors and plain values.
    """
    try:
        _require_unpacked(file)
        _require_tensors(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a damaged file looks like: it is refused
            content: object = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
        _require_backed(content, file)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file} cannot be read as {what}: it holds more than tensors, which could be a "
            "program, or is damaged"
        ) from error
    except _FAILURES as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{file} cannot be read as {what}: {reason}") from error
    return content


def _require_unpacked(file: Path) -> None:
    """Raise ValueError if a file is a zip archive with compressed or overlapping members."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > file.stat().st_size:
            raise ValueError(f"it unpacks to {unpacked:,} bytes, more than it has")


def _require_tensors(file: Path) -> None:
    """Raise ValueError if a pickle names other things than tensors are made of."""
    for stream, limit in _pickles(file):
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL" and not _NAMES.fullmatch(str(argument)):
                raise pickle.UnpicklingError(f"it names {argument}")
            if limit and type(argument) is int and argument > limit:
                raise ValueError(f"it asks for {argument:,} numbers, more than it has bytes")


def _pickles(file: Path) -> Iterator[tuple[IO[bytes], int | None]]:
    """The pickles of a file; with a limit of its numbers if torch allocates what they say."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    yield io.BytesIO(archive.read(name)), None
        return
    with file.open("rb") as stream:
        for number in range(_LEGACY_PICKLES):
            yield stream, file.stat().st_size if number >= _LEGACY_TENSORS else None


def _require_backed(content: object, file: Path) -> None:
    """Raise ValueError if tensors have more numbers than are stored, repeated by a stride of 0."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))
    if size > _SHARED * file.stat().st_size:
        raise ValueError(f"its tensors have {size:,} bytes, more than it has")


def _tensors(content: object) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping | list | tuple):
        for each in content.values() if isinstance(content, Mapping) else content:
            yield from _tensors(each)
