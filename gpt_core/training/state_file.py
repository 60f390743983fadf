"""The training state of a checkpoint as a file, the same bytes for the same state."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar, cast

import torch
from typing_extensions import Buffer

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import TRAINING_STATE
from gpt_core.errors import CheckpointError
from gpt_core.models import load_pickled
from gpt_core.training.trainer import TrainerState

Tree = TypeVar("Tree")


class _Disk:
    """A file whose first failed write is kept: torch reports any as a fault of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, content: Buffer) -> int:
        size = memoryview(content).nbytes
        if self.error is None:
            try:
                self._file.write(content)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Leave that to the file's owner: a failed one would be reported by torch."""


def write_state(state: Mapping[str, object], path: Path) -> None:
    """Write a training state; equal states give equal bytes.

    Args:
        state: The state.
        path: The file.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("wb") as file:
        disk = _Disk(file)
        torch.save(_without_identities(state), cast(IO[bytes], disk))
        if disk.error is not None:
            raise disk.error


def load_state(checkpoint: Artifact, device: torch.device) -> TrainerState:
    """Load the training state of a checkpoint.

    Raises:
        CheckpointError: If it cannot be read.
    """
    file = checkpoint.directory / TRAINING_STATE
    state = load_pickled(file, "training state", device, mapped=False)
    if not isinstance(state, dict):
        raise CheckpointError(f"{file} cannot be read as training state: it holds something else")
    return cast(TrainerState, state)


@contextmanager
def state_errors(checkpoint: Artifact) -> Iterator[None]:
    """Translate the errors of using a training state that lacks a part or is of another model.

    Raises:
        CheckpointError: Instead of them, naming the file.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        file = checkpoint.directory / TRAINING_STATE
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{file} is not the training state of this model: {reason}"
        ) from error


def _without_identities(tree: Tree) -> Tree:
    """Copy a tree such that only equal strings are one object.

    A pickle refers to an object that it has written before, so its bytes depend on which equal
    strings and tuples are the same object, and that differs in a resumed run.
    """
    copied: object = tree
    if isinstance(tree, str):
        copied = sys.intern(tree)
    elif isinstance(tree, dict):
        copied = {_without_identities(key): _without_identities(each) for key, each in tree.items()}
    elif isinstance(tree, list | tuple):
        copied = type(tree)(_without_identities(each) for each in tree)
    return cast(Tree, copied)
