"""Load tensors that ``torch.save`` wrote, from a file that may be forged.

A pickle can run any code when it is loaded. ``weights_only=True`` allows tensors and plain values
alone. What they may take is bounded as well: torch stores its tensors unpacked, so a file that
unpacks to more than it has is not one of torch.
"""

import pickle  # nosec B403
import warnings
import zipfile
from pathlib import Path

import torch

from gpt_core.errors import CheckpointError

_FAILURES = (
    OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    MemoryError, OverflowError, AssertionError, ImportError, zipfile.BadZipFile,
    NotImplementedError,
)  # fmt: skip


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a damaged file looks like: it is refused
            content: object = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
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
