"""Run pretraining in this process, or under torchrun in several.

Several processes run in a subprocess with a torchrun of its own. Rank 0 appends callback events
to a file and this process replays them, so that callbacks need not know where a run is done.

Functions import torch, because stages that are answered from the cache do without its 3 seconds.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gpt_core import errors
from gpt_core.artifact import Artifact, to_json_value
from gpt_core.callbacks import Callback
from gpt_core.config import ComputeConfig, LaunchConfig, PretrainConfig, current_limits
from gpt_core.cores import usable_cores
from gpt_core.durable import temporary_directory
from gpt_core.errors import ConfigError, GPTCoreError
from gpt_core.files import read_json, write_json
from tasks.events import read_events, replay
from tasks.paths import checkout

_POLL_SECONDS = 0.2
_SAVING_SECONDS = 120.0  # for a last checkpoint, before processes are killed
_LOG_LINES = 12  # shown when a process fails for a reason that is not the user's


def train(
    shards: Artifact,
    config: PretrainConfig,
    out_dir: Path,
    launch: LaunchConfig,
    callbacks: Sequence[Callback],
) -> Artifact:
    """Run ``gpt_core.training.pretrain`` on ``count_processes`` processes.

    Raises:
        GPTCoreError: As ``pretrain`` does, or if a process was killed.
        RuntimeError: If a process failed for a reason that is not the user's.
        SystemExit: If the processes were asked to stop, after they saved a checkpoint.
    """
    from gpt_core.training import pretrain
    from gpt_core.training.checkpoint import require_best

    n_processes = count_processes(launch, config.compute)
    if n_processes == 1:
        return pretrain(shards, config, out_dir, callbacks=callbacks, launch=launch)
    config.micro_batches_of(n_processes)
    with temporary_directory(Path(tempfile.gettempdir()) / "gptflow-ranks") as folder:
        request = {
            "shards": shards.path,
            "config": to_json_value(config),
            "out_dir": str(out_dir),
            "launch": {"processes": n_processes, "strategy": launch.strategy},
            "limits": to_json_value(current_limits()),
        }
        write_json(folder / "request.json", request)
        _run(folder, n_processes, callbacks)
    return require_best(out_dir)


def count_processes(launch: LaunchConfig, compute: ComputeConfig) -> int:
    """The number of processes of a run: ``launch.processes``, or one per GPU.

    Raises:
        ConfigError: If there are fewer GPUs than processes.
    """
    import torch

    on_gpus = compute.device in ("auto", "cuda") and torch.cuda.is_available()
    n_gpus = torch.cuda.device_count() if on_gpus else 0
    wanted = launch.processes or max(1, n_gpus)
    if 0 < n_gpus < wanted:
        raise ConfigError(
            f"launch.processes is {wanted}, but there are {n_gpus} GPUs: set it to at most {n_gpus}"
        )
    return wanted


def _run(folder: Path, n_processes: int, callbacks: Sequence[Callback]) -> None:
    """Run the processes, replay their events, and raise their errors."""
    threads = str(max(1, usable_cores() // n_processes))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": _python_path()}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.worker", str(folder)],
            env=environment,
            stdin=subprocess.PIPE,  # closed when this process ends, which stops the others
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to this process, which stops the others
        )
    try:
        for event in read_events(folder / "events.jsonl", partial(_has_ended, process)):
            replay(event, callbacks)
    finally:
        _stop(process)
    if process.returncode != 0:
        _raise_failure(folder, n_processes)


def _python_path() -> str:
    """The import path of this process with the checkout first, wherever it was started."""
    return os.pathsep.join([str(checkout()), *filter(None, [os.environ.get("PYTHONPATH")])])


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a process has ended, after waiting a moment for it."""
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask what still runs to save and end; kill it when time or the user's patience is over."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_SAVING_SECONDS)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def _raise_failure(folder: Path, n_processes: int) -> None:
    """Raise the first error, not the errors that it caused in other processes."""
    for file in sorted(folder.glob("error-*.json")):
        error = read_json(file)
        raise getattr(errors, error["kind"])(error["message"])
    codes: dict[str, int] = {}
    if (folder / "exit-codes.json").is_file():
        codes = read_json(folder / "exit-codes.json")
    if codes and set(codes.values()) <= {128 + signal.SIGTERM, -signal.SIGTERM}:
        raise SystemExit(128 + signal.SIGTERM)
    ended = {rank: -code for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM}
    if ended:
        # Gloo aborts a process whose peer is gone: that is a consequence.
        rank = min(ended, key=lambda rank: ended[rank] == signal.SIGABRT)
        raise GPTCoreError(
            f"process {rank} of {n_processes} (counted from 0) was ended by "
            f"{signal.Signals(ended[rank]).name}, if not by you then for lack of memory: the same "
            "command resumes from the last checkpoint"
        )
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    raise RuntimeError("a process of the run failed:\n" + "\n".join(lines[-_LOG_LINES:]))
