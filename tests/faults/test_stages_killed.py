"""Every stage, killed at random times and started again, ends with the same bytes only.

One that is killed after some of its parts does only the others.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stages import PRELUDE, SAMPLED_STAGES, SETTINGS, Inputs, content_of

LONGEST = 60.0  # seconds until a stage has written something


COUNTED = """
import os, signal
def counted(module, name, kill_at):
    real, file = getattr(module, name), Path({calls!r}) / name
    def call(part, **options):
        result = real(part, **options)
        with file.open("a") as opened:
            opened.write(".")
        if kill_at and file.stat().st_size == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, call)
for module, name in {functions!r}:
    import importlib
    counted(importlib.import_module(module), name, {kill_at!r}.get(name))
"""

IN_PARTS = {
    "clean_corpus": """
from gpt_core.text import clean_corpus
clean_corpus(made("register_source"), config.reading, config.cleaning, out, part_bytes=2500)
""",
    "train_tokenizer": """
from gpt_core.tokenizers import train_tokenizer
train_tokenizer(made("many_documents"), config.tokenizer, out, part_bytes=1)
""",
    "encode_corpus": """
from gpt_core.data import encode_corpus
from gpt_core.data import encoding
encoding._MIN_PART_BYTES = 1
encode_corpus(made("many_documents"), made("train_tokenizer"), config.shards, out)
""",
}
FUNCTIONS = {
    "clean_corpus": [
        ("gpt_core.text.cleaned_corpus", "clean_part"),
        ("gpt_core.text.cleaned_corpus", "write_part"),
    ],
    "train_tokenizer": [("gpt_core.tokenizers.counting", "count_part")],
    "encode_corpus": [("gpt_core.data.encoding", "_write_part")],
}
MANY_DOCUMENTS = """
from gpt_core.text import clean_corpus
clean_corpus(
    made("register_source"), config.reading, config.cleaning, inputs / "many_documents",
    part_bytes=2500,
)
"""


@pytest.mark.long
@pytest.mark.parametrize("stage", SAMPLED_STAGES)
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


@pytest.mark.long
@pytest.mark.parametrize("stage", list(IN_PARTS))
def test_a_killed_stage_does_only_the_parts_that_are_left(
    forks: Any, stage_inputs: Inputs, tmp_path: Path, stage: str
) -> None:
    def start(kill_at: dict[str, int]) -> tuple[int, dict[str, int]]:
        calls.mkdir(exist_ok=True)
        for file in calls.iterdir():
            file.unlink()
        code = PRELUDE.format(inputs=str(stage_inputs.folder), out=str(out), settings=SETTINGS)
        code += COUNTED.format(calls=str(calls), functions=FUNCTIONS[stage], kill_at=kill_at)
        status, text = forks.run(code + IN_PARTS[stage])
        assert status in (0, -9), text
        return status, {file.name: file.stat().st_size for file in calls.iterdir()}

    out, calls = tmp_path / "out", tmp_path / "calls"
    if not (stage_inputs.folder / "many_documents").exists():
        head = PRELUDE.format(inputs=str(stage_inputs.folder), out=str(out), settings=SETTINGS)
        assert forks.run(head + MANY_DOCUMENTS)[0] == 0
    names = [name for _, name in FUNCTIONS[stage]]
    status, whole = start({})
    assert status == 0
    content = content_of(out)
    n_parts = whole[names[0]]
    assert n_parts > 5
    out.rename(tmp_path / "undisturbed")
    done = dict.fromkeys(names, 0)
    for name in names:
        status, counted = start({name: 4})
        assert status == -9
        assert not out.exists()
        assert {path.name for path in tmp_path.glob(".*.parts")} == {".out.parts"}
        for other in names[: names.index(name)]:
            assert counted[other] == n_parts - done[other]
            done[other] = n_parts
        done[name] = 3  # the fourth was killed before it was finished
    status, counted = start({})
    assert status == 0
    assert counted == {names[-1]: n_parts - 3}, "the rest of the last step, nothing of others"
    assert content_of(out) == content
    assert list(tmp_path.rglob(".*")) == []


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
