"""Stop when asked: at once, or at the next place where nothing is lost.

A process that is asked to stop by SIGTERM ends with exit code 143, by Ctrl-C with 130.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_SAME_REQUEST_SECONDS = 1.0
"""A launcher passes a signal to processes that may have had it already: both are one request."""


class StopRequest:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._since = 0.0

    def __bool__(self) -> bool:
        """Whether a signal has arrived."""
        return self._number is not None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Record a signal; the next one ends the process at once."""
        if self._number is None:
            self._number, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _SAME_REQUEST_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def obey(self) -> None:
        """End the process as its signal does; that of another process is taken for SIGTERM.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM, with code 143.
        """
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)


@contextmanager
def defer_signals() -> Iterator[StopRequest]:
    """Record SIGTERM and Ctrl-C during the block, which stops where it can; main thread only.

    A signal that arrives in a block that then ends without an error is obeyed at its end.
    """
    request = StopRequest()
    if not _in_main_thread():
        yield request
        return
    numbers = signal.SIGTERM, signal.SIGINT
    previous = [signal.signal(number, request.receive) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
    if request:
        request.obey()


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit in the block, so that temporaries are removed and runs closed.

    Without this the process would end at once. Main thread only.

    Raises:
        SystemExit: After SIGTERM, with code 143.
    """
    if not _in_main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def exit_without_threads(message: str) -> NoReturn:
    """End the process with exit code 1 although a thread of it does not end.

    Python's own end would abort it (SIGABRT): a thread that comes back from C++ code of torch while
    the interpreter is finalized may not take the GIL any more and is ended by ``pthread_exit``,
    which unwinds functions that must not be left that way.

    Args:
        message: What did not end, for standard error.
    """
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(1)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
