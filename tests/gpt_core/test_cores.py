"""No more cores are used than affinity and container grant."""

import os
import sys

import pytest

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
