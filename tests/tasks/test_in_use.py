"""Artifacts from the cache are marked as used, and a lock keeps cleaning out meanwhile."""

import os
import subprocess
import sys
import time
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from tasks.in_use import artifacts_locked, mark_used
from tasks.paths import artifacts_lock

TRY = """
import sys
from tasks.in_use import artifacts_locked
with artifacts_locked(alone=sys.argv[1] == "alone"):
    print("held", flush=True)
"""


def start(how: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", TRY, how], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def test_many_may_use_artifacts_and_one_alone_may_remove_them(home: Path) -> None:
    artifacts_lock().parent.mkdir(parents=True)
    with artifacts_locked(alone=False):
        assert start("shared").communicate(timeout=60)[0] == "held\n"
        remover = start("alone")
        time.sleep(1.0)
        assert remover.poll() is None
    assert remover.communicate(timeout=60)[0] == "held\n"


def test_a_home_without_artifacts_is_not_written_to(home: Path) -> None:
    with artifacts_locked(alone=False):
        assert list(home.iterdir()) == []


def test_the_last_use_is_the_time_of_the_directory(home: Path) -> None:
    with new_artifact(home / "one", kind="shards") as draft:
        (draft.directory / "content").write_text("x")
    os.utime(home / "one", (1.0, 1.0))
    mark_used(draft.artifact)
    assert time.time() - (home / "one").stat().st_mtime < 60
    mark_used(Artifact(kind="shards", path=str(home / "missing"), fingerprint=""))
