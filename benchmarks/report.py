"""Reports of the benchmarks: date, machine, command and tables, printed and appended."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PEERS = ROOT / ".peers"
_RESULTS = ROOT / "benchmarks" / "RESULTS.md"


def publish(title: str, script: str, how: str, lines: Sequence[str]) -> None:
    """Print a report and append it to the results.

    Args:
        title: What was measured.
        script: The module's name.
        how: How it was measured, in one sentence.
        lines: The tables.
    """
    head = [f"## {title} ({datetime.now(UTC):%Y-%m-%d})", "", f"{_setting(script)} {how}", ""]
    report = "\n".join([*head, *lines, ""])
    print(report)
    with _RESULTS.open("a", encoding="utf-8") as file:
        file.write(f"\n{report}")


def _setting(script: str) -> str:
    import torch

    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return (
        f"`python -m benchmarks.{script}` at {_commit()}; {gpu}{_cpu()}, {os.cpu_count()} "
        f"cores, load {os.getloadavg()[0]:.1f} at the start, Python {platform.python_version()}, "
        f"torch {torch.__version__}."
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds of some work."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(turns: int, *work: Callable[[], object]) -> list[list[float]]:
    """Seconds of each work in each turn: all of them once, then all of them again."""
    measured: list[list[float]] = [[] for _ in work]
    for _ in range(turns):
        for each, seconds in zip(work, measured, strict=True):
            seconds.append(timed(each))
    return measured


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "an unknown commit"


def _cpu() -> str:
    """The CPU's name and its instructions for bf16 products."""
    info = Path("/proc/cpuinfo")
    rows = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    fields = dict(row.split(":", 1) for row in rows if ":" in row)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    flags = found.get("flags", "").split()
    extra = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    return " with ".join(filter(None, [found.get("model name", platform.machine()), *extra]))
