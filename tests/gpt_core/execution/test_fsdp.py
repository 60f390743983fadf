"""Sharded state that cannot be read is named; tests/distributed trains with shards."""

from pathlib import Path

import pytest
import torch

from gpt_core.errors import CheckpointError
from gpt_core.execution.fsdp import load_sharded_state


def test_sharded_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="cannot be read as training state"):
        load_sharded_state(tmp_path, lambda name, shape: torch.zeros(shape))
