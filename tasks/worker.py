"""Entry point of training subprocesses: launch torchrun, or run one rank.

``python -m tasks.worker FOLDER``, where the folder has the request of ``tasks.launch`` and gets
the events, the errors and the exit codes. Prefect and MLflow are not imported.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from gpt_core.artifact import read_artifact
from gpt_core.config import LaunchConfig, LimitsConfig, PretrainConfig, build_config, use_limits
from gpt_core.errors import GPTCoreError
from gpt_core.files import read_json, write_json
from tasks.rendezvous import Message


def main(folder: Path) -> int:
    """Launch torchrun or, when torchrun started this process, run its rank.

    Returns:
        The exit code: 0 done, 2 the user's mistake, 1 anything else.
    """
    return _train(folder, int(os.environ["RANK"])) if "RANK" in os.environ else _launch(folder)


def _launch(folder: Path) -> int:
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    request = read_json(folder / "request.json")
    n_processes = request["launch"]["processes"]
    each = ["--nproc-per-node", str(n_processes), "-m", "tasks.worker", str(folder)]
    try:
        run.run(run.parse_args([*_meeting_point(request), *each]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        codes = {str(rank): failure.exitcode for rank, failure in error.failures.items()}
        write_json(folder / "exit-codes.json", codes)
        return 1
    except SignalException:  # torchrun was asked to end, and has stopped the others
        write_json(folder / "exit-codes.json", {"0": -signal.SIGTERM})
        return 1
    return 0


def _meeting_point(request: Message) -> list[str]:
    """The options by which torchrun's agents meet."""
    if "node" not in request:
        return ["--standalone"]
    address, _, port = request["node"]["master"].rpartition(":")
    return [
        f"--nnodes={request['nodes']}",
        f"--node-rank={request['node']['rank']}",
        f"--master-addr={address}",
        f"--master-port={port}",
    ]


def _train(folder: Path, rank: int) -> int:
    from gpt_core.training import pretrain
    from tasks.events import EventWriter

    request = read_json(folder / "request.json")
    if os.environ["LOCAL_RANK"] == "0":
        threading.Thread(target=_stop_with_launcher, daemon=True).start()
    callbacks = [EventWriter(folder / "events.jsonl")] if rank == 0 else []
    try:
        with use_limits(build_config(LimitsConfig, request["limits"])):
            pretrain(
                read_artifact(Path(request["shards"]), "shards"),
                build_config(PretrainConfig, request["config"]),
                Path(request["out_dir"]),
                callbacks=callbacks,
                launch=build_config(LaunchConfig, request["launch"]),
            )
    except GPTCoreError as error:
        content = {"kind": type(error).__name__, "message": str(error)}
        write_json(folder / f"error-{rank}.json", content)
        return 2
    return 0


def _stop_with_launcher() -> None:
    """Ask this process to save and end as soon as the launching process has ended."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
