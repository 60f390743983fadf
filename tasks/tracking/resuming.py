"""Which MLflow run a stopped process was recording to, so that the next one goes on in it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class RunFile:
    """Remembers a run's id and settings; one process at a time may do so.

    Args:
        file: Where, open and locked; None remembers nothing.
    """

    def __init__(self, file: IO[str] | None) -> None:
        self._file = file

    def read(self, params: Mapping[str, str] | None) -> str | None:
        """The run's id, if a run with these settings was left open."""
        if self._file is None:
            return None
        self._file.seek(0)
        try:
            content = json.loads(self._file.read())
            return str(content["run_id"]) if content["params"] == params else None
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, run_id: str, params: Mapping[str, str] | None) -> None:
        """Remember a run."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            json.dump({"run_id": run_id, "params": params}, self._file)
            self._file.flush()
            os.fsync(self._file.fileno())


@contextmanager
def run_file(path: Path | None) -> Iterator[RunFile]:
    """Hold a run file until the block ends; it is deleted if that is without an error.

    Args:
        path: Where it lies. None, or one that another process holds, remembers nothing.
    """
    if path is None:
        yield RunFile(None)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield RunFile(None)
            return
        yield RunFile(file)
        path.unlink(missing_ok=True)
