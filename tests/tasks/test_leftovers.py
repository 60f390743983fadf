"""The next command removes the temporaries of killed ones, and nothing else."""

import subprocess
import sys
from pathlib import Path

from tasks.leftovers import kept_parts, remove_kept_parts, remove_leftovers

KILLED = """
import os, signal, sys
from pathlib import Path
from gpt_core.artifact import new_artifact
with new_artifact(Path(sys.argv[1]) / "small-1", kind="shards"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_command_left_is_removed(home: Path) -> None:
    shards = home / "data" / "shards"
    shards.mkdir(parents=True)
    (shards / ".small-2.mlflow.json").touch()
    subprocess.run([sys.executable, "-c", KILLED, str(shards)], check=False)
    assert len(list(shards.iterdir())) == 2
    remove_leftovers()
    assert [path.name for path in shards.iterdir()] == [".small-2.mlflow.json"]


STOPPED = """
import os, signal, sys
from dataclasses import dataclass
from pathlib import Path
from gpt_core.engine import run_serially
from gpt_core.finished_parts import open_parts
@dataclass
class Part:
    folder: Path
def write(part):
    (part.folder / "file").touch()
    return 1
with open_parts(Path(sys.argv[1]), keep=True) as store:
    store.run(run_serially, write, [Part(store.folder("step", 0))], ["input"], int)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_finished_parts_stay_until_their_artifact_is_complete(home: Path) -> None:
    shards = home / "data" / "shards"
    for name in ("small-1", "small-2"):
        subprocess.run([sys.executable, "-c", STOPPED, str(shards / name)], check=False)
    (shards / "small-2").mkdir()
    remove_leftovers()
    assert {path.name for path in shards.iterdir()} == {".small-1.parts", "small-2"}
    assert kept_parts(older_than=3600.0) == []
    assert kept_parts(older_than=0.0) == [shards / ".small-1.parts"]
    remove_kept_parts(kept_parts(older_than=0.0))
    assert [path.name for path in shards.iterdir()] == ["small-2"]
