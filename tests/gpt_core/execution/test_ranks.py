"""A run of one process has collectives that do nothing; tests/distributed has several."""

import pytest
import torch

from gpt_core.execution.ranks import Ranks, join_process_group


def test_the_collectives_of_one_process_return_its_own_values() -> None:
    ranks, value = Ranks(), torch.tensor([1.0, 2.0])
    assert ranks.is_first
    assert ranks.sum(value) is value
    assert ranks.mean(value) is value
    assert ranks.all_gather(value) == [value]
    assert ranks.broadcast(lambda: "computed") == "computed"
    assert ranks.any(True)
    assert not ranks.any(False)


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_process_group() as ranks:
        assert ranks == Ranks(0, 1)
    assert not torch.distributed.is_initialized()
