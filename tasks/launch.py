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
from gpt_core.errors import ConfigError, GPTCoreError, LostProcessError
from gpt_core.files import read_json, write_json
from tasks.events import read_events, replay
from tasks.nodes import Node, current_first_node, lost_node
from tasks.paths import checkout, in_home
from tasks.rendezvous import Message

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
    if n_processes * launch.nodes == 1:
        return pretrain(shards, config, out_dir, callbacks=callbacks, launch=launch)
    config.micro_batches_of(n_processes * launch.nodes)
    request: Message = {
        "shards": in_home(shards.path),
        "fingerprint": shards.fingerprint,
        "config": to_json_value(config),
        "out_dir": in_home(str(out_dir)),
        "launch": {"processes": n_processes, "strategy": launch.strategy},
        "limits": to_json_value(current_limits()),
        "nodes": launch.nodes,
    }
    node = current_first_node()
    if launch.nodes > 1 and node is not None:
        request = node.start(request)
    elif launch.nodes > 1:
        raise ConfigError(f"launch.nodes={launch.nodes} needs a command that the nodes have joined")
    local = {"shards": shards.path, "out_dir": str(out_dir)}
    run_processes({**request, **local}, n_processes, callbacks, node)
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


def run_processes(
    request: Message, n_processes: int, callbacks: Sequence[Callback], node: Node | None = None
) -> None:
    """Run this node's processes of a training, replay their events, and raise their errors.

    Args:
        request: What ``tasks.worker`` reads.
        n_processes: How many processes this node starts.
        callbacks: Get the events of rank 0, if that is on this node.
        node: The other nodes' connections; None if there are none.
    """
    with temporary_directory(Path(tempfile.gettempdir()) / "gptflow-ranks") as folder:
        write_json(folder / "request.json", request)
        process = _start(folder, n_processes)
        patience = _SAVING_SECONDS
        try:
            ended = partial(_has_ended, process, node)
            for event in read_events(folder / "events.jsonl", ended):
                replay(event, callbacks)
        except LostProcessError:
            patience = 0.0  # its processes wait for those of the lost node
            raise
        finally:
            _stop(process, patience)
        if process.returncode != 0:
            _raise_failure(folder, n_processes, node)


def _start(folder: Path, n_processes: int) -> "subprocess.Popen[bytes]":
    threads = str(max(1, usable_cores() // n_processes))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": _python_path()}
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tasks.worker", str(folder)],
            env=environment,
            stdin=subprocess.PIPE,  # closed when this process ends, which stops the others
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to this process, which stops the others
        )


def _python_path() -> str:
    """The import path of this process with the checkout first, wherever it was started."""
    return os.pathsep.join([str(checkout()), *filter(None, [os.environ.get("PYTHONPATH")])])


def _has_ended(process: "subprocess.Popen[bytes]", node: Node | None) -> bool:
    """Whether a process has ended, after waiting a moment for it.

    Raises:
        LostProcessError: If another node has been gone for too long.
    """
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        if node is not None:
            node.check()
            if node.is_hopeless:
                raise lost_node(node.lost[0]) from None
        return False
    return True


def _stop(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Ask what still runs to save and end; kill it when time or the user's patience is over."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(seconds)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def _raise_failure(folder: Path, n_processes: int, node: Node | None = None) -> None:
    """Raise the first error, not the errors that it caused in other processes."""
    error, is_cause = _find_failure(folder, n_processes)
    raise error if node is None else node.explain(error, is_cause=is_cause)


def _find_failure(folder: Path, n_processes: int) -> tuple[BaseException, bool]:
    """The error of this node's processes, and whether it has no cause on another node."""
    lost: GPTCoreError | None = None
    for file in sorted(folder.glob("error-*.json")):
        record = read_json(file)
        error = getattr(errors, record["kind"])(record["message"])
        if not isinstance(error, LostProcessError):
            return error, True
        lost = lost or error
    codes: dict[str, int] = {}
    if (folder / "exit-codes.json").is_file():
        codes = read_json(folder / "exit-codes.json")
    if codes and set(codes.values()) <= {128 + signal.SIGTERM, -signal.SIGTERM}:
        return SystemExit(128 + signal.SIGTERM), False
    ended = {rank: -code for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM}
    if ended:
        # Gloo aborts a process whose peer is gone: that is a consequence.
        rank = min(ended, key=lambda rank: ended[rank] == signal.SIGABRT)
        killed = GPTCoreError(
            f"process {rank} of {n_processes} (counted from 0) was ended by "
            f"{signal.Signals(ended[rank]).name}, if not by you then for lack of memory: the same "
            "command resumes from the last checkpoint"
        )
        return killed, ended[rank] != signal.SIGABRT
    if lost is not None:
        return lost, False
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    text = "a process of the run failed:\n" + "\n".join(lines[-_LOG_LINES:])
    return RuntimeError(text), False
