"""No more cores are used than affinity and container grant."""

import os
import sys
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.cores import usable_cores


def test_the_affinity_limits_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 7}, raising=False)
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    assert usable_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_joblib_counts_the_cores_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the container's limit; its own variable stands in for a container here."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 7}, raising=False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    assert usable_cores() == 2
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "9")
    assert usable_cores() == 3


def test_training_uses_no_more_threads_than_granted(
    shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpt_core.config import GPTConfig, PretrainConfig, ScheduleConfig, TrainingConfig
    from gpt_core.execution import cpu
    from gpt_core.training import pretrain

    monkeypatch.setattr(cpu, "usable_cores", lambda: 1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        config = PretrainConfig(
            model=GPTConfig(n_layer=1, n_head=1, n_embd=16, context_length=32),
            schedule=ScheduleConfig(warmup_steps=0),
            training=TrainingConfig(steps=1, tokens_per_step=64, micro_batch=2),
        )
        pretrain(shards, config, tmp_path)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
