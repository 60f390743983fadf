"""The second of two equal runs waits for its device and takes the result of the first."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

pytestmark = pytest.mark.long

SETTINGS = (
    "training.steps=200",
    "training.log_every=10",
    "training.eval_every=200",
    "training.sample_every=200",
    "training.save_every=100",
    "training.keep_last=20",
    "model.dropout=0.1",
)


def checkpoint(cli: Any, name: str, step: int) -> Path:
    pattern = f"data/checkpoints/{name}-*/step-{step:08}/model.safetensors"
    return next(cli.home.glob(pattern), cli.home / "none")


def stop_between_transactions(group: int, database: Path) -> None:
    """Stop the processes of a run while none of them reads or writes MLflow's database.

    One that is stopped while it reads lets others begin to write, but not commit.
    """
    while True:
        os.killpg(group, signal.SIGSTOP)
        with closing(sqlite3.connect(database, timeout=0)) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                os.killpg(group, signal.SIGCONT)
                time.sleep(0.05)
            else:
                return


def test_the_second_of_two_equal_runs_waits_and_takes_the_result(
    module_cli: Any, small: list[str], tmp_path: Path
) -> None:
    command = ("pretrain", *small, *SETTINGS, "name=twin")
    first = module_cli.start(*command, output=tmp_path / "first")
    eventually(lambda: checkpoint(module_cli, "twin", 100).is_file())
    # Else it may end before the second one waits.
    stop_between_transactions(first.pid, module_cli.home / "mlflow" / "mlflow.db")
    second = module_cli.start(*command, output=tmp_path / "second")
    try:
        eventually(lambda: "waiting for its end" in (tmp_path / "second").read_text("utf-8"))
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert (first.wait(240), second.wait(240)) == (0, 0)
    printed = (tmp_path / "second").read_text("utf-8")
    assert "cpu trains the run twin since 20" in printed
    assert f"(process {first.pid})" in printed
    assert "✓ pretrain (there already)" in printed
    assert len(list(module_cli.home.glob("data/checkpoints/twin-*/step-00000200"))) == 1
