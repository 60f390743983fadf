"""Training on a CPU keeps freed memory and uses no more threads than it was granted."""

import platform
import subprocess
import sys

import pytest
import torch

from gpt_core.execution import cpu

SCRIPT = """
import resource, torch
from gpt_core.execution.cpu import keep_freed_memory

def page_faults_of_reallocation():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(16_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
if {kept}:
    assert keep_freed_memory()
page_faults_of_reallocation()
print(page_faults_of_reallocation())
"""


def faults(*, kept: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(kept=kept)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc supports it")
def test_memory_that_is_allocated_again_needs_no_new_pages() -> None:
    assert faults(kept=True) < 100
    assert faults(kept=False) > 100, "otherwise there is nothing to gain"


def test_a_cpu_uses_no_more_threads_than_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "usable_cores", lambda: 1)
    monkeypatch.setattr(cpu, "keep_freed_memory", lambda: True)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        cpu.prepare_cpu(torch.device("cuda"))
        assert torch.get_num_threads() == 3
        cpu.prepare_cpu(torch.device("cpu"))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
