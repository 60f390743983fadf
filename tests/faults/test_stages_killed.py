"""Every stage, killed at random times and started again, ends with the same bytes only."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stages import STAGES, Inputs, content_of

LONGEST = 60.0  # seconds until a stage has written something


@pytest.mark.long
@pytest.mark.parametrize("stage", list(STAGES))
def test_a_killed_stage_is_done_again_with_the_same_bytes(
    forks: Any, stage_inputs: Inputs, tmp_path: Path, stage: str, kills: int,
    count: Callable[[str, int], None],
) -> None:  # fmt: skip
    rng, out = random.Random(), tmp_path / "out"
    begun, ended = span(forks, stage_inputs.code(stage, out), tmp_path)
    whole = content_of(out)
    shutil.rmtree(out)
    done = 0
    while done < kills:
        child = forks.start(stage_inputs.code(stage, out))
        wait_for_a_file(tmp_path, child)
        time.sleep(rng.uniform(0, ended - begun))
        child.send(signal.SIGKILL)
        killed = child.wait() == -signal.SIGKILL
        done += killed
        if rng.random() < 0.5 or not killed:  # else the next one begins with what this one left
            code, text = forks.run(stage_inputs.code(stage, out))
            assert code == 0, text
            assert content_of(out) == whole
            assert list(tmp_path.rglob(".*")) == []
            shutil.rmtree(out)
    code, text = forks.run(stage_inputs.code(stage, out))
    assert code == 0, text
    assert content_of(out) == whole
    assert list(tmp_path.rglob(".*")) == []
    count("kills, the same bytes after each", done)


def span(forks: Any, code: str, folder: Path) -> tuple[float, float]:
    """The times of the first write and of the end of a stage."""
    child = forks.start(code)
    begun = wait_for_a_file(folder, child)
    assert child.wait() == 0, child.text()
    return begun, time.monotonic()


def wait_for_a_file(folder: Path, child: Any) -> float:
    """Wait until a process has written something; the time."""
    until = time.monotonic() + LONGEST
    before = names_in(folder)
    while names_in(folder) == before and is_running(child.pid):
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.0005)
    return time.monotonic()


def names_in(folder: Path) -> set[str]:
    """Everything below a folder while it changes; rglob raises when one that it reads goes."""
    return {
        f"{parent}/{name}" for parent, folders, files in os.walk(folder) for name in folders + files
    }


def is_running(pid: int) -> bool:
    """Whether a process has not ended yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
