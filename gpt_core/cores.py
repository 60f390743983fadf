"""CPU cores and memory that the machine grants this process.

A container with 2 of a server's 64 cores still sees all of them, and torch would start a thread
for each: 64 threads that wait for each other on two cores.
"""

import os


def usable_cores() -> int:
    """Cores granted to this process by its affinity and its container (cgroup), at least 1.

    The container's limit is read by joblib, which comes with scikit-learn; without joblib only the
    affinity counts. A fraction of a core counts as a core.
    """
    try:
        from joblib import cpu_count
    except ImportError:
        affinity = getattr(os, "sched_getaffinity", None)  # Linux only
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    return int(cpu_count())


def physical_memory() -> int:
    """Bytes of memory of the machine; 2**63 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 1 << 63
