"""Sharded state that cannot be read is named; tests/distributed trains with shards."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule

from gpt_core.config import GPTConfig
from gpt_core.errors import CheckpointError
from gpt_core.execution.fsdp import load_sharded_state, shard_model
from gpt_core.models import build_model


def test_sharded_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="cannot be read as training state"):
        load_sharded_state(tmp_path, lambda name, shape: torch.zeros(shape))


def test_every_block_is_gathered_by_itself() -> None:
    shape = GPTConfig(n_layer=2, n_head=1, n_embd=8, context_length=4, vocab_size=16)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        model = shard_model(build_model(shape, seed=0), torch.device("cpu"))
        assert all(isinstance(block, FSDPModule) for block in model.h)
    finally:
        dist.destroy_process_group()
