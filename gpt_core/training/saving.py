"""Background checkpointing: tensors are copied to host memory, a thread writes the copies."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import torch
from torch import Tensor

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import step_directory
from gpt_core.files import cannot_write, is_disk_full
from gpt_core.training.checkpoint import Snapshot, save_checkpoint

if TYPE_CHECKING:
    from gpt_core.execution.fsdp import ShardedStateSaver

Tree = TypeVar("Tree")


class HostCopier:
    """Copies a state tree into reusable (pinned) host buffers.

    Allocating takes longer than copying, so each call overwrites the previous copy at the same
    path.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str | int, ...], Tensor] = {}

    def copy(self, tree: Tree, *path: str | int) -> Tree:
        """Copy every tensor of a tree, so that training may change the original.

        Args:
            tree: Dictionaries, lists and tuples of tensors and immutable values.
            path: Identifies the tree, and within it the tensor, for reusing buffers.
        """
        copied: object = tree
        if isinstance(tree, Tensor):
            copied = self._copy_tensor(tree.detach(), path)
        elif isinstance(tree, dict):
            copied = {key: self.copy(each, *path, key) for key, each in tree.items()}
        elif isinstance(tree, list | tuple):
            copied = type(tree)(self.copy(each, *path, i) for i, each in enumerate(tree))
        return cast(Tree, copied)

    def _copy_tensor(self, tensor: Tensor, path: tuple[str | int, ...]) -> Tensor:
        buffer = self._buffers.get(path)
        if buffer is None or (buffer.shape, buffer.dtype) != (tensor.shape, tensor.dtype):
            # Pinned, a GPU's tensors are copied at the speed of its bus.
            buffer = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
            self._buffers[path] = buffer
        return buffer.copy_(tensor)


class PendingCheckpoint:
    """A snapshot on its way to disk: all ranks write their shards, rank 0 everything else.

    Args:
        out_dir: The run's directory.
        snapshot: The copied state.
        is_first: Whether this is rank 0.
    """

    def __init__(self, out_dir: Path, snapshot: Snapshot, *, is_first: bool) -> None:
        self._out_dir, self._snapshot, self._is_first = out_dir, snapshot, is_first
        self._shards: tuple[Path, Future[object]] | None = None

    def start_shards(self, saver: "ShardedStateSaver", tensors: Mapping[str, Tensor]) -> None:
        """Start writing this rank's shards of the state. Collective."""
        name = step_directory(self._out_dir, self._snapshot.step).name
        folder = self._out_dir / f".{name}.shards"
        self._shards = folder, saver.start(tensors, folder)

    def finish(self) -> Artifact | None:
        """Wait for the shards of all ranks, then write the checkpoint on rank 0.

        Raises:
            DataError: If it cannot be written.
        """
        folder = None
        if self._shards is not None:
            folder, writing = self._shards
            try:
                writing.result()
            except BaseException as error:  # torch's own exception of all ranks' failures
                if is_disk_full(error):
                    raise cannot_write(folder, "the disk is full", "free some space") from error
                raise
        if not self._is_first:
            return None
        if folder is not None:
            from gpt_core.execution.fsdp import order_headers  # imports torch.distributed

            order_headers(folder)
        return save_checkpoint(self._out_dir, self._snapshot, sharded_state=folder)


class Pending(Protocol):
    """Something on its way to disk."""

    def finish(self) -> Artifact | None:
        """Write it; None on a process that writes nothing."""


class BackgroundSaver:
    """Writes one checkpoint at a time in a thread; leaving the context waits for it."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="save")
        self._writing: Future[Artifact | None] | None = None

    def __enter__(self) -> "BackgroundSaver":
        return self

    def __exit__(self, *error: object) -> None:
        self._executor.shutdown(wait=True)

    def start(self, checkpoint: Pending) -> None:
        """Start writing a checkpoint; call ``wait`` for the previous one first."""
        self._writing = self._executor.submit(checkpoint.finish)

    def finished(self) -> Artifact | None:
        """Return the checkpoint once, if it has been written by now.

        Raises:
            DataError: If it could not be written.
        """
        return self.wait() if self._writing is not None and self._writing.done() else None

    def wait(self) -> Artifact | None:
        """Wait for the checkpoint in progress and return it once; None if there is none.

        Raises:
            DataError: If it could not be written.
        """
        writing, self._writing = self._writing, None
        return None if writing is None else writing.result()
