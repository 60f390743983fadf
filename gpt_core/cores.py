"""How many processor cores this process may use.

A container with 2 of a server's 64 cores still sees all of them, and torch would start a thread
for each: 64 threads that wait for each other on two cores.
"""

import os
from pathlib import Path

_CONTROL = Path("/sys/fs/cgroup")


def usable_cores(control: Path = _CONTROL) -> int:
    """Cores that are granted to this process, at least 1.

    Args:
        control: Where Linux says what a container may use.
    """
    try:
        seen = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        seen = os.cpu_count() or 1
    granted = _granted(control)
    return seen if granted is None else max(1, min(seen, round(granted)))


def _granted(control: Path) -> float | None:
    """The processor time of a container in cores; None if it has no limit."""
    try:
        limit, period = (control / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:  # the older way
            limit = (control / "cpu/cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (control / "cpu/cpu.cfs_period_us").read_text(encoding="ascii").strip()
        except OSError:
            return None
    unlimited = limit in ("max", "-1")
    return None if unlimited else int(limit) / int(period)
