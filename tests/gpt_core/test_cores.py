"""A container's share of the processor is all that is used of it."""

import os
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.cores import usable_cores

SEEN = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", SEEN), ("99900000 100000", SEEN)],
)
def test_a_limit_counts_if_it_is_below_what_is_seen(limit: str, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("limit", "cores"), [("100000", 1), ("-1", SEEN)])
def test_the_older_way_of_limiting_counts_too(limit: str, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{limit}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == cores


def test_without_a_limit_all_that_is_seen_is_used(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == SEEN


def test_training_takes_no_more_threads_than_are_granted(
    shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpt_core.config import GPTConfig, PretrainConfig, ScheduleConfig, TrainingConfig
    from gpt_core.training import pretrain, processor

    monkeypatch.setattr(processor, "usable_cores", lambda: 1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        config = PretrainConfig(
            model=GPTConfig(n_layer=1, n_head=1, n_embd=16, context_length=32),
            schedule=ScheduleConfig(warmup_steps=0),
            training=TrainingConfig(steps=1, tokens_per_step=64, micro_batch=2, device="cpu"),
        )
        pretrain(shards, config, tmp_path)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
