"""A training run in this process, or in several that torchrun starts.

The processes are children of a ``torchrun`` of its own. The first of them writes down its news,
which are passed on here; so whoever listens to a run need not know where it is done.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from gpt_core import errors
from gpt_core.artifact import Artifact, to_json_value
from gpt_core.callbacks import Callback
from gpt_core.config import LaunchConfig, PretrainConfig, TrainingConfig
from gpt_core.cores import usable_cores
from gpt_core.errors import ConfigError, GPTCoreError
from gpt_core.files import read_json, write_json
from gpt_core.training import pretrain
from gpt_core.training.checkpoint import require_best
from tasks.news import pass_on
from tasks.paths import checkout

_POLL_SECONDS = 0.2
_SAVING_SECONDS = 120.0  # that processes have for a last checkpoint, before they are killed
_SHOWN_LINES = 12  # of the log, when a process fails for a reason of its own


def train(
    shards: Artifact,
    config: PretrainConfig,
    out_dir: Path,
    launch: LaunchConfig,
    callbacks: Sequence[Callback],
) -> Artifact:
    """``gpt_core.training.pretrain`` on as many processes as there are to be.

    Raises:
        GPTCoreError: As there, or if a process was ended from without.
        RuntimeError: If a process failed for a reason that is not the user's.
        SystemExit: If the processes were asked to stop, after they saved a checkpoint.
    """
    n_processes = count_processes(launch, config.training)
    if n_processes == 1:
        return pretrain(shards, config, out_dir, callbacks=callbacks, launch=launch)
    config.micro_batches_of(n_processes)
    with tempfile.TemporaryDirectory(prefix="gptflow-ranks-") as folder:
        request = {
            "shards": shards.path,
            "config": to_json_value(config),
            "out_dir": str(out_dir),
            "launch": {"processes": n_processes, "strategy": launch.strategy},
        }
        write_json(Path(folder) / "request.json", request)
        _run(Path(folder), n_processes, callbacks)
    return require_best(out_dir)


def count_processes(launch: LaunchConfig, training: TrainingConfig) -> int:
    """How many processes a run has: as many as are asked for, else one for each GPU.

    Raises:
        ConfigError: If there are fewer GPUs than that.
    """
    on_gpus = training.device in ("auto", "cuda") and torch.cuda.is_available()
    n_gpus = torch.cuda.device_count() if on_gpus else 0
    wanted = launch.processes or max(1, n_gpus)
    if 0 < n_gpus < wanted:
        raise ConfigError(
            f"launch.processes is {wanted}, but there are {n_gpus} GPUs: set it to at most {n_gpus}"
        )
    return wanted


def _run(folder: Path, n_processes: int, callbacks: Sequence[Callback]) -> None:
    """Start the processes, pass on their news, and raise what they fail of."""
    threads = str(max(1, usable_cores() // n_processes))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": _python_path()}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.worker", str(folder)],
            env=environment,
            stdin=subprocess.PIPE,  # its end tells the processes that this one is gone
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for this process, which tells them
        )
    try:
        for event in _news(folder / "news.jsonl", process):
            pass_on(event, callbacks)
    finally:
        _stop(process)
    if process.returncode != 0:
        _raise_failure(folder, n_processes)


def _python_path() -> str:
    """The checkout first, wherever this process was started."""
    return os.pathsep.join([str(checkout()), *filter(None, [os.environ.get("PYTHONPATH")])])


def _news(file: Path, process: "subprocess.Popen[bytes]") -> Iterator[Any]:
    """What the first process tells, until all have ended."""
    read, ended = 0, False
    while not ended:
        try:
            process.wait(_POLL_SECONDS)
            ended = True
        except subprocess.TimeoutExpired:
            pass
        lines = _whole_lines(file, read)
        read += len(lines)
        for line in lines.splitlines():
            yield json.loads(line)


def _whole_lines(file: Path, start: int) -> bytes:
    """What was written from there on, up to the last line that is whole."""
    if not file.is_file():
        return b""
    with file.open("rb") as content:
        content.seek(start)
        found = content.read()
    return found[: found.rfind(b"\n") + 1]


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End what still runs: first by the word, then by force."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_SAVING_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _raise_failure(folder: Path, n_processes: int) -> None:
    """Raise what came first, not what the other processes made of it."""
    for said in sorted(folder.glob("error-*.json")):
        error = read_json(said)
        raise getattr(errors, error["kind"])(error["message"])
    codes: dict[str, int] = {}
    if (folder / "exit-codes.json").is_file():
        codes = read_json(folder / "exit-codes.json")
    if codes and set(codes.values()) <= {128 + signal.SIGTERM, -signal.SIGTERM}:
        raise SystemExit(128 + signal.SIGTERM)
    ended = {rank: -code for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM}
    if ended:
        # Gloo aborts a process whose partner is gone: that is not what came first.
        rank = min(ended, key=lambda rank: ended[rank] == signal.SIGABRT)
        raise GPTCoreError(
            f"process {rank} of {n_processes} (counted from 0) was ended by "
            f"{signal.Signals(ended[rank]).name}, if not by you then for want of memory: the same "
            "command goes on from the last checkpoint"
        )
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    raise RuntimeError("a process of the run failed:\n" + "\n".join(lines[-_SHOWN_LINES:]))
