"""Freed memory is kept: getting it again brings no new page from the operating system."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from gpt_core.execution.cpu import keep_freed_memory

def faults_of_getting_memory_again():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(16_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
if {kept}:
    assert keep_freed_memory()
faults_of_getting_memory_again()
print(faults_of_getting_memory_again())
"""


def faults(*, kept: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(kept=kept)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library can keep it")
def test_memory_that_is_had_again_costs_no_page() -> None:
    assert faults(kept=True) < 100
    assert faults(kept=False) > 100, "else there is nothing to gain"
