"""The next command removes the temporaries of killed ones, and nothing else."""

import subprocess
import sys
from pathlib import Path

from tasks.leftovers import remove_leftovers

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
