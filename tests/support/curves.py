"""Compares the recorded curves of two training runs of 24 steps."""

from pathlib import Path

import pytest

from gpt_core.callbacks import read_records


def curve(out: Path, name: str) -> dict[int, float]:
    """A recorded metric by step."""
    return {row["step"]: row[name] for row in read_records(out / "metrics.jsonl") if name in row}


def assert_alike(one: Path, other: Path, tolerance: float) -> None:
    """Assert that losses, norms and update ratios of two runs agree."""
    for name in ("train/loss", "validation/loss", "train/grad_norm", "train/update_ratio"):
        expected = curve(one, name)
        assert curve(other, name) == pytest.approx(expected, abs=tolerance), name
    assert len(curve(one, "train/loss")) == 24
    assert len(curve(one, "validation/loss")) == 3
