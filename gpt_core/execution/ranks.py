"""The processes (ranks) of a run and their collectives.

``torchrun`` starts them and sets each one's rank in the environment. A run that it did not start
has a single rank, whose collectives are no-ops.
"""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's rank and the world size. Its methods are collective: call on every rank."""

    rank: int = 0
    """This process."""

    size: int = 1
    """Number of processes (world size)."""

    local_size: int | None = None
    """Number of processes on this node; None if there is one node."""

    @property
    def nodes(self) -> int:
        """Number of nodes, if each has as many processes as this one."""
        return self.size // (self.local_size or self.size)

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes files and calls the callbacks."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """Sum a tensor over all ranks."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total

    def mean(self, value: Tensor) -> Tensor:
        """Average a tensor over all ranks."""
        return self.sum(value) / self.size if self.size > 1 else value

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true on any rank. Does not synchronize with a GPU."""
        return bool(self.sum(torch.tensor(int(value))))

    def all_gather(self, value: Tensor) -> list[Tensor]:
        """Gather every rank's tensor; all have one shape."""
        if self.size == 1:
            return [value]
        values = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(values, value)
        return values

    def all_gather_object(self, value: T) -> list[T]:
        """Gather every rank's Python object."""
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, compute: Callable[[], T]) -> T:
        """Compute a Python object on rank 0 and broadcast it; the other ranks do not compute it."""
        if self.size == 1:
            return compute()
        values = [compute() if self.is_first else None]
        dist.broadcast_object_list(values)
        result: T = values[0]  # type: ignore[assignment]
        return result


@contextmanager
def join_process_group() -> Iterator[Ranks]:
    """Join torchrun's process group, if torchrun started this process.

    CPU tensors are exchanged by gloo, GPU tensors by NCCL.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    try:
        yield Ranks(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    except SystemExit:  # raised on all ranks at the same step
        _leave()
        raise
    _leave()  # not after an error: the others may wait for this process


def _leave() -> None:
    """Destroy the process group; gloo's threads must end before Python does.

    The collections drop remaining references to its groups.
    """
    gc.collect()
    dist.destroy_process_group()
    gc.collect()
