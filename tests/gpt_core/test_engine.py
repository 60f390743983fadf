"""Results come in the order of the parts, and what goes wrong is one sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpt_core.config import LimitsConfig, current_limits, use_limits
from gpt_core.engine import LocalEngine, run_serially
from gpt_core.errors import DataError


def slow_first(part: int) -> tuple[int, int]:
    """The part and a limit that the caller has set."""
    time.sleep(0.2 if part == 0 else 0)
    return part, current_limits().line_characters


def refuse(part: int) -> int:
    """Fail for all parts but the first, the later ones sooner."""
    if part:
        time.sleep(0.3 / part)
        raise DataError(f"part {part}")
    return part


def kill_worker(part: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return part


@pytest.mark.parametrize("threads", [True, False])
def test_results_are_in_the_order_of_the_parts_and_limits_hold(threads: bool) -> None:
    seen: list[Any] = []
    with use_limits(LimitsConfig(line_characters=77)):
        results = LocalEngine(2)(slow_first, range(5), done=seen.append, threads=threads)
        assert run_serially(slow_first, range(5)) == results
    assert results == seen == [(part, 77) for part in range(5)]


@pytest.mark.parametrize("threads", [True, False])
def test_the_error_of_the_first_part_is_raised(threads: bool) -> None:
    with pytest.raises(DataError, match="part 1"):
        LocalEngine(2)(refuse, range(4), threads=threads)


@pytest.mark.long
def test_workers_that_are_lost_again_and_again_are_one_sentence() -> None:
    with pytest.raises(DataError, match=r"was ended 3 times, .*: set engine.workers to fewer"):
        LocalEngine(2)(kill_worker, range(2))


CHILD = """
import sys, time, os
from pathlib import Path
from gpt_core.engine import LocalEngine
def wait(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(60)
if __name__ == "__main__":
    LocalEngine(2)(wait, [Path(sys.argv[1])] * 2)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    child = subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids")])
    until = time.monotonic() + 60
    while len(workers := list((tmp_path / "pids").iterdir())) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    child.kill()
    child.wait()
    while any(Path("/proc", worker.name).exists() for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.05)
