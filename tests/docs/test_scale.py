"""The numbers that docs/scale.md computes follow from the rates in benchmarks/RESULTS.md."""

import re
from pathlib import Path

import pytest


@pytest.fixture
def page(project_root: Path) -> str:
    return (project_root / "docs/scale.md").read_text(encoding="utf-8")


def test_hours_are_bytes_over_rates_that_were_measured(page: str, project_root: Path) -> None:
    results = (project_root / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| .*\(`(.*)`\) \| ([\d.e]+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \|$", page, re.M
    )
    assert len(rows) == 4
    for name, n_bytes, rate, workers, hours in rows:
        [row] = [
            line for line in results.splitlines() if line.startswith((f"| {name} |", f"| {name},"))
        ]
        measured = row.split("|")[2].strip()
        value, unit = (measured if " " in measured else f"{measured} MB/s").split()
        rates = {"MB/s": float(value), "s": 100 / float(value)}  # seconds are those of 100 MB
        assert float(rate) == pytest.approx(rates[unit], abs=0.05)
        expected = float(n_bytes) / (float(rate) * 1e6 * int(workers)) / 3600
        assert float(hours) == pytest.approx(expected, abs=0.051)


def test_what_follows_from_them_is_right(page: str) -> None:
    tokens = 10e12 / 4.3
    gradients = 2 * 4 * 124e6
    seconds = 6 * 124e6 * tokens / (8 * 4e14)
    computed = {
        f"{tokens:.1e} tokens".replace("e+12", "e12"), f"{2 * tokens / 1e12:.1f} TB of shards",
        f"{6 * 124e6 * tokens:.1e}".replace("e+", "e"), f"8 GPUs need {seconds / 3600:.0f} hours",
        f"need {20e12 / (10e12 / 19.8e8) / 1e9:.0f} GB/s", f"{20e12 / 1.25e9 / 3600:.1f} hours",
        f"{10e12 / 4e3 * 40 / 1e9:.0f} GB of hashes",
        f"{2 * tokens / 1.25e9 / 3600:.1f} hour", f"{gradients / 1e9:.1f} GB that each process",
        f"{gradients / 1.25e9:.1f} s at 10 Gbit/s",
    }  # fmt: skip
    assert [each for each in sorted(computed) if each not in page] == []
