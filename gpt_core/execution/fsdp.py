"""Sharded training (FSDP2), and saving and loading sharded training state.

Each block's weights are gathered for its computation and freed after it, so that a process holds
its shards and one full block. Sharded state is saved by torch's distributed checkpoints as
safetensors files, one per process; any number of processes can load it.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from typing_extensions import override

from gpt_core.errors import CheckpointError
from gpt_core.execution.layout import Layout
from gpt_core.models import GPT, next_token_loss


class FSDPLayout(Layout):
    """A shard of every weight on each rank, with its gradient and optimizer state."""

    strategy = "shards (FSDP)"
    is_sharded = True

    @override
    def gradient_sync(self, *, enabled: bool) -> AbstractContextManager[None]:
        self.model.set_requires_gradient_sync(enabled)  # type: ignore[operator]
        return nullcontext()

    @override
    def _build_loss(self) -> nn.Module:
        loss = _LossOfLogits(self.model)
        return torch.compile(loss) if self.numerics.compiled else loss  # type: ignore[return-value]


class _LossOfLogits(nn.Module):
    """Like ``ModelWithLoss``, but through the model's forward, which gathers the head's weights."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, token_ids: Tensor, targets: Tensor) -> Tensor:
        return next_token_loss(self.model(token_ids), targets)


class HSDPLayout(FSDPLayout):
    """A shard of every weight on each rank of a node, and the same shards on every other node.

    Weights are gathered within a node; between nodes only the gradients of a shard are averaged.
    """

    strategy = "shards within nodes, replicas across (HSDP)"


def shard_model(model: GPT, device: torch.device, replicas: int = 1) -> GPT:
    """Shard a model over all ranks with FSDP2, block by block.

    Args:
        model: With the same weights on every rank.
        device: Where this rank's shards are placed.
        replicas: How many groups of neighbouring ranks hold the complete model (HSDP).

    References:
        Zhao et al. 2023, "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel".
    """
    size, shape, names = dist.get_world_size(), (dist.get_world_size(),), ("shard",)
    if replicas > 1:
        shape, names = (replicas, size // replicas), ("replicate", "shard")  # type: ignore[assignment]
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=names)
    for block in model.h:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    register_fsdp_forward_method(model, "next_logits")
    return model


class ShardedStateSaver:
    """Saves sharded tensors while training continues, with a process group of its own."""

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo")

    def start(self, tensors: Mapping[str, Tensor], folder: Path) -> "Future[object]":
        """Copy the tensors and start writing them. Collective.

        Args:
            tensors: By name, the same names on every rank.
            folder: Where the files go, the same on every rank.

        Returns:
            A future that is done when every rank has written its shards.
        """
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        # Their order decides which rank writes what all ranks have; a resumed run has another one.
        ordered = dict(sorted(tensors.items()))
        future = async_save(ordered, storage_writer=writer, process_group=self._group)
        assert isinstance(future, Future)
        return future


def order_headers(folder: Path) -> None:
    """Sort the metadata in the headers of the saver's files, which safetensors writes at random.

    Otherwise equal states would be files with different hashes.

    Args:
        folder: With the files of all ranks.
    """
    for path in folder.glob("*.safetensors"):
        with path.open("r+b") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
            header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
            packed = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            file.seek(8)
            file.write(packed.ljust(size))


def load_sharded_state(
    folder: Path, allocate: Callable[[str, torch.Size], Tensor]
) -> dict[str, Tensor]:
    """Load tensors saved by ``ShardedStateSaver``, resharded for the current ranks.

    Args:
        folder: With the saver's files.
        allocate: Returns a tensor to load into, sharded as needed, for a name and a full shape.

    Raises:
        CheckpointError: If the files cannot be read.
    """
    reader = HuggingFaceStorageReader(str(folder))
    alone = not dist.is_initialized()
    try:
        saved = reader.read_metadata().state_dict_metadata
        tensors = {
            name: allocate(name, each.size)
            for name, each in saved.items()
            if isinstance(each, TensorStorageMetadata)
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch warns of loading in one process
            load(tensors, storage_reader=reader, no_dist=alone)
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read as training state: {error}") from error
    return tensors
