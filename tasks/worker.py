"""What torchrun starts, and its start: ``python -m tasks.worker FOLDER``.

The folder has the request of ``tasks.launch`` and takes the news, the errors and the exit codes.
It knows neither Prefect nor MLflow.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from gpt_core.artifact import read_artifact
from gpt_core.config import LaunchConfig, PretrainConfig, build_config
from gpt_core.errors import GPTCoreError
from gpt_core.files import read_json, write_json


def main(folder: Path) -> int:
    """Start all processes of a run or, started by torchrun, be one of them.

    Returns:
        The exit code: 0 done, 2 the user's mistake, 1 anything else.
    """
    return _train(folder, int(os.environ["RANK"])) if "RANK" in os.environ else _start(folder)


def _start(folder: Path) -> int:
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    torchrun: Any = run  # which has no types
    n_processes = read_json(folder / "request.json")["launch"]["processes"]
    each = ["--standalone", "--nproc-per-node", str(n_processes), "-m", "tasks.worker", str(folder)]
    try:
        torchrun.run(torchrun.parse_args(each))
    except ChildFailedError as error:
        codes = {str(rank): failure.exitcode for rank, failure in error.failures.items()}
        write_json(folder / "exit-codes.json", codes)
        return 1
    except SignalException:  # it was asked to end, and has told the others
        write_json(folder / "exit-codes.json", {"0": -signal.SIGTERM})
        return 1
    return 0


def _train(folder: Path, rank: int) -> int:
    from gpt_core.training import pretrain
    from tasks.news import NewsWriter

    request = read_json(folder / "request.json")
    if rank == 0:
        threading.Thread(target=_stop_with_launcher, daemon=True).start()
    listeners = [NewsWriter(folder / "news.jsonl")] if rank == 0 else []
    try:
        pretrain(
            read_artifact(Path(request["shards"]), "shards"),
            build_config(PretrainConfig, request["config"]),
            Path(request["out_dir"]),
            callbacks=listeners,
            launch=build_config(LaunchConfig, request["launch"]),
        )
    except GPTCoreError as error:
        said = {"kind": type(error).__name__, "message": str(error)}
        write_json(folder / f"error-{rank}.json", said)
        return 2
    return 0


def _stop_with_launcher() -> None:
    """Ask this process to save and end, as soon as the one that launched the run is gone."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
