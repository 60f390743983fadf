"""A disk that is full at any byte is one sentence; with space the bytes are the same."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stages import SAMPLED_STAGES, Inputs, content_of

from gpt_core.artifact import read_artifact, verify
from gpt_core.checkpoints import list_steps

PAGE = 4096


@pytest.mark.long
@pytest.mark.parametrize("stage", SAMPLED_STAGES)
def test_no_file_may_grow_beyond_a_limit(
    forks: Any, stage_inputs: Inputs, tmp_path: Path, stage: str, kills: int,
    count: Callable[[str, int], None],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    code = stage_inputs.code(stage, out)
    whole = run_whole(forks, code, out)
    for limit in limits(whole.sizes, kills):
        result, text = forks.run(code, limit)
        check_one_sentence(result, text, out)
        check_same_bytes(forks, code, out, whole.content)
    count("full disks", kills)


@pytest.mark.long
@pytest.mark.parametrize("stage", SAMPLED_STAGES)
def test_a_small_file_system(
    forks: Any, stage_inputs: Inputs, small_disk: Callable[[int], Path], stage: str, kills: int,
    count: Callable[[str, int], None],
) -> None:  # fmt: skip
    out = small_disk(1 << 30) / "out"
    code = stage_inputs.code(stage, out)
    whole = run_whole(forks, code, out)
    pages = sum(-(-size // PAGE) for size in whole.sizes)
    for case in range(kills):
        small_disk(PAGE * max(1, pages * case // kills))
        result, text = forks.run(code)
        check_one_sentence(result, text, out)
        small_disk(1 << 30)
        check_same_bytes(forks, code, out, whole.content)
    count("full disks", kills)


class Whole:
    """The result of a stage that has all the space it needs."""

    def __init__(self, out: Path) -> None:
        self.content = content_of(out)
        self.sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]


def run_whole(forks: Any, code: str, out: Path) -> Whole:
    result, text = forks.run(code)
    assert result == 0, text
    whole = Whole(out)
    shutil.rmtree(out)
    return whole


def limits(sizes: list[int], wanted: int) -> list[int]:
    """Limits that stop the first write, the last one and those between."""
    largest = max(sizes)
    return [largest * case // wanted for case in range(wanted - 1)] + [largest - 1]


def check_one_sentence(result: int, text: str, out: Path) -> None:
    """The process failed with one line, and what has a final name is complete.

    A manifest has the seconds that a stage took, so its size differs by a few bytes and may fit.
    """
    lines = [line for line in text.splitlines() if line]
    assert (result, len(lines)) in ((2, 1), (0, 0)), text
    assert all("cannot be written" in line for line in lines)
    if (out / "manifest.json").is_file():
        verify(read_artifact(out))
    for step in list_steps(out):
        verify(read_artifact(step))


def check_same_bytes(forks: Any, code: str, out: Path, content: dict[str, str]) -> None:
    """With space the stage continues to the same bytes, and leaves nothing hidden."""
    result, text = forks.run(code)
    assert result == 0, text
    assert content_of(out) == content
    assert list(out.parent.rglob(".*")) == []
    shutil.rmtree(out)
