"""Run a function over the parts of a stage: what a stage does, apart from where it is done.

A stage over much data is a plan (parts by input file and size), a function of one part and a
reduction of the results in the order of the parts. An engine decides only where the function runs,
so no result depends on it, on the number of its workers or on workers that were lost. Functions,
parts and results are small and can be sent to another process; what is large goes through files.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Protocol, Self, TypeVar

from gpt_core.config import LimitsConfig, current_limits, use_limits
from gpt_core.cores import usable_cores
from gpt_core.errors import DataError

P = TypeVar("P")
R = TypeVar("R")

_MAX_LOSSES = 3  # of workers, after which the parts themselves are taken for the reason


class Engine(Protocol):
    """Whatever calls a function for each of a stage's parts."""

    def __call__(
        self,
        function: Callable[[P], R],
        parts: Sequence[P],
        *,
        done: Callable[[R], None] | None = None,
        threads: bool = False,
    ) -> list[R]:
        """Call the function for each part.

        Args:
            function: Importable by its name. It may be called again for a part whose worker was
                lost, and gives the same result then.
            parts: What it is called with.
            done: Called in this process with each result, in the order of the parts.
            threads: The function releases the GIL, so that threads of one process will do.

        Returns:
            The results in the order of the parts.

        Raises:
            DataError: If workers are lost again and again. An error of the function is raised here;
                of several that of the first part.
        """
        ...


class LocalEngine:
    """Runs parts in processes or threads of this machine; a single part in this process.

    Used as a context manager it keeps its processes from one call to the next.

    Args:
        workers: Number of processes or threads; 0 for one per core that this process may use.
    """

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or usable_cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end_processes()

    def __call__(
        self,
        function: Callable[[P], R],
        parts: Sequence[P],
        *,
        done: Callable[[R], None] | None = None,
        threads: bool = False,
    ) -> list[R]:
        """Call the function for each part, see ``Engine``."""
        if min(self.workers, len(parts)) <= 1:
            return run_serially(function, parts, done=done)
        limited = partial(call_limited, current_limits(), function)
        results: dict[int, R] = {}
        if threads:
            with ThreadPoolExecutor(self.workers) as pool:
                _run(pool, limited, parts, results, done)
        else:
            self._run_in_processes(limited, parts, results, done)
        return [results[n] for n in range(len(parts))]

    def _run_in_processes(
        self,
        function: Callable[[P], R],
        parts: Sequence[P],
        results: dict[int, R],
        done: Callable[[R], None] | None,
    ) -> None:
        """Run the parts in processes; what a lost one left undone is done by new ones."""
        losses = 0
        while len(results) < len(parts):
            try:
                _run(self._processes(), function, parts, results, done)
            except BrokenProcessPool as error:
                self._end_processes()
                losses += 1
                if losses == _MAX_LOSSES:
                    raise DataError(
                        f"a worker process was ended {losses} times, as happens when memory runs "
                        f"out: set engine.workers to fewer than {self.workers}"
                    ) from error

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Unlike forked processes, spawned ones are safe in a process with threads.
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=spawn, initializer=_prepare_worker
            )
        return self._pool

    def _end_processes(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def run_serially(
    function: Callable[[P], R],
    parts: Sequence[P],
    *,
    done: Callable[[R], None] | None = None,
    threads: bool = False,
) -> list[R]:
    """Call the function for each part in this thread: the engine of those who have none."""
    results = []
    for part in parts:
        results.append(function(part))
        if done is not None:
            done(results[-1])
    return results


def group_sizes(sizes: Sequence[int], wanted: int) -> list[range]:
    """Group consecutive sizes to ranges of about ``wanted``; at least one, which may be empty.

    Example:
        >>> group_sizes([3, 3, 3, 1], 5)
        [range(0, 2), range(2, 4)]
    """
    groups, start, filled = [], 0, 0
    for index, size in enumerate(sizes):
        if filled and filled + size // 2 > wanted:
            groups.append(range(start, index))
            start, filled = index, 0
        filled += size
    return [*groups, range(start, len(sizes))]


def call_limited(limits: LimitsConfig, function: Callable[[P], R], part: P) -> R:
    """Call a function of a part under limits: those of the block that started the engine."""
    with use_limits(limits):
        return function(part)


def _run(
    pool: Executor,
    function: Callable[[P], R],
    parts: Sequence[P],
    results: dict[int, R],
    done: Callable[[R], None] | None,
) -> None:
    """Add the results that are missing, in their order: of several errors the first one's counts.

    When this returns or raises, nothing that it has begun is running any more.
    """
    missing = [number for number in range(len(parts)) if number not in results]
    futures = {number: pool.submit(function, parts[number]) for number in missing}
    try:
        for number, future in futures.items():
            results[number] = future.result()
            if done is not None:
                done(results[number])
    except BrokenExecutor:
        for number, future in futures.items():  # all of them are done now
            if number not in results and future.exception() is None:
                results[number] = future.result()
                if done is not None:
                    done(results[number])
        raise
    finally:
        for future in futures.values():
            future.cancel()
        wait(futures.values())


def _prepare_worker() -> None:
    """Leave Ctrl-C to the process that started this one, and end when that has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.join,), daemon=True).start()


def _end_after(join: Callable[[], None]) -> None:
    """End this process at once when another one, which may have been killed, has ended."""
    join()
    os._exit(1)
