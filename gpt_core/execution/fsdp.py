"""A share of the model in every process (FSDP2), and training state that is saved in shares.

Each block's weights are gathered when it computes and let go of after, so that no process holds
more than its share and one block. Saved shares are safetensors files, one a process, written by
torch's distributed checkpoints; any number of processes reads them again.
"""

import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from gpt_core.errors import CheckpointError
from gpt_core.execution.layout import Layout
from gpt_core.models import GPT, next_token_loss


class Shares(Layout):
    """A share of every weight in each process, with its gradient and its moments."""

    kind = ", shares (FSDP)"
    shared = True

    def accumulating(self, *, last: bool) -> AbstractContextManager[None]:
        """Exchange no gradient before the last micro-batch."""
        self.model.set_requires_gradient_sync(last)  # type: ignore[operator]
        return nullcontext()

    def _wrapped(self) -> nn.Module:
        loss = _LossOfLogits(self.model)
        return torch.compile(loss) if self.computing.compiled else loss  # type: ignore[return-value]


class _LossOfLogits(nn.Module):
    """As ``MicroLoss``, by the model's own forward pass: only that gathers the head's weights."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, token_ids: Tensor, targets: Tensor) -> Tensor:
        return next_token_loss(self.model(token_ids), targets)


def share(model: GPT, device: torch.device) -> GPT:
    """Leave this process its share of a model.

    Args:
        model: The same weights in every process.
        device: Where the share goes.

    References:
        Zhao et al. 2023, "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel".
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for block in model.h:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    register_fsdp_forward_method(model, "next_logits")
    return model


class ShareSaver:
    """Writes shares while training goes on; the processes agree on a channel of their own."""

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo")

    def start(self, tensors: Mapping[str, Tensor], folder: Path) -> "Future[Any]":
        """Begin to write, after copying.

        Args:
            tensors: By name, the same names in every process.
            folder: Where the files go, the same in every process.

        Returns:
            Done when every process has written.
        """
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        started: Any = async_save(dict(tensors), storage_writer=writer, process_group=self._group)
        written: Future[Any] = started
        return written


def load_shares(folder: Path, like: Callable[[str, torch.Size], Tensor]) -> dict[str, Tensor]:
    """What was saved in shares, in the shares that are wanted now.

    Args:
        folder: With the files of ``ShareSaver``.
        like: Gives a tensor for a name and the whole's shape; it is filled.

    Raises:
        CheckpointError: If the files cannot be read.
    """
    reader = HuggingFaceStorageReader(str(folder))
    alone = not dist.is_initialized()
    try:
        saved = reader.read_metadata().state_dict_metadata
        tensors = {name: like(name, each.size) for name, each in saved.items()}  # type: ignore[union-attr]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that one process reads alone
            load(tensors, storage_reader=reader, no_dist=alone)
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read as training state: {error}") from error
    return tensors
