"""The processes of a run, and what they tell each other.

``torchrun`` starts them and puts into the environment who each one is. A run that is not started
by it has one process, which has nobody to talk to.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of a run's processes this is. Every method is called by all of them, or by none."""

    rank: int = 0
    """This one."""

    size: int = 1
    """How many there are."""

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum of all ranks' values."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all ranks' values."""
        return self.sum(value) / self.size if self.size > 1 else value

    def any(self, value: bool) -> bool:
        """Whether it is so in any rank. It does not wait for a GPU's work."""
        return bool(self.sum(torch.tensor(int(value))))

    def gathered(self, value: Tensor) -> list[Tensor]:
        """Every rank's value, which has one shape in all."""
        if self.size == 1:
            return [value]
        values = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(values, value)
        return values

    def shared(self, value: Any) -> Any:
        """What the first rank has."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values)
        return values[0]


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the processes that torchrun has started with this one, if it has.

    Tensors of a processor travel by gloo, those of GPUs by NCCL.
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
        yield Ranks(int(os.environ["RANK"]), size)
    except SystemExit:  # in all ranks at the same step
        _leave()
        raise
    _leave()  # not after an error: the others may wait for this process


def _leave() -> None:
    """End gloo's threads before Python ends; nothing may hold its groups any longer."""
    gc.collect()
    dist.destroy_process_group()
    gc.collect()
