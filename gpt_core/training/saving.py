"""Saving while training goes on: what is saved is copied, a thread writes the copy."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from gpt_core.artifact import Artifact


class Copier:
    """Copies into the memory of the copies before: fresh memory takes longer than the copying.

    What was copied before must not be needed any more.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str | int, ...], Tensor] = {}

    def copied(self, value: Any, *path: str | int) -> Any:
        """A value with every tensor in it copied, so that training may change the original.

        Args:
            value: Tensors in dictionaries, lists and tuples, beside what does not change.
            path: Where it is in what is copied as a whole.
        """
        if isinstance(value, Tensor):
            return self._copied_tensor(value.detach(), path)
        if isinstance(value, dict):
            return {key: self.copied(each, *path, key) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.copied(each, *path, i) for i, each in enumerate(value))
        return value

    def _copied_tensor(self, tensor: Tensor, path: tuple[str | int, ...]) -> Tensor:
        kept = self._kept.get(path)
        if kept is None or (kept.shape, kept.dtype) != (tensor.shape, tensor.dtype):
            # From pinned memory a GPU's tensors are copied at the speed of its bus.
            kept = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
            self._kept[path] = kept
        return kept.copy_(tensor)


class BackgroundSaver:
    """Writes one checkpoint at a time in a thread; leaving the block waits for it."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="save")
        self._writing: Future[Artifact | None] | None = None

    def __enter__(self) -> "BackgroundSaver":
        return self

    def __exit__(self, *error: object) -> None:
        self._executor.shutdown(wait=True)

    def start(self, write: Callable[[], Artifact | None]) -> None:
        """Begin to write; the one before must have been waited for."""
        self._writing = self._executor.submit(write)

    def finished(self) -> Artifact | None:
        """The checkpoint, once, if it is written by now.

        Raises:
            DataError: If it could not be written.
        """
        return self.wait() if self._writing is not None and self._writing.done() else None

    def wait(self) -> Artifact | None:
        """The checkpoint, once, as soon as it is written; None if there is none.

        Raises:
            DataError: If it could not be written.
        """
        writing, self._writing = self._writing, None
        return None if writing is None else writing.result()
