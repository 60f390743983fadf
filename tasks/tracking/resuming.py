"""Remember which MLflow run a process was recording to, so that an interrupted one resumes it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpt_core.files import write_json


class RunFile:
    """Remembers the id and the settings of an MLflow run.

    Args:
        path: The file; None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self, params: Mapping[str, str] | None) -> str | None:
        """The id of the run, if one with these settings was left open."""
        if self._path is None:
            return None
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return str(content["run_id"]) if content["params"] == params else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, run_id: str, params: Mapping[str, str] | None) -> None:
        """Remember a run."""
        if self._path is not None:
            write_json(self._path, {"run_id": run_id, "params": params})


@contextmanager
def run_file(path: Path | None) -> Iterator[RunFile]:
    """Hold a run file until the block ends; it is deleted unless the block raises.

    Args:
        path: The file. If it is None or another process holds it, nothing is remembered.
    """
    if path is None:
        yield RunFile(None)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"), blocking=False)
    try:
        held = lock.acquire()
    except Timeout:
        yield RunFile(None)
        return
    with held:
        yield RunFile(path)
        path.unlink(missing_ok=True)
        Path(lock.lock_file).unlink()
