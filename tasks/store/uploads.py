"""Publish in the background, one thing after the other; what fails waits for the next command."""

import queue
import threading
import time
from collections.abc import Callable
from contextvars import copy_context

from gpt_core.config import StoreConfig
from gpt_core.errors import DataError, DownloadError, GPTCoreError
from tasks.store.objects import Objects

_LATER = "the run continues, a later command publishes what it makes"
_PAUSE_SECONDS = 30.0  # after a store did not answer, until it is asked again


def check_store(config: StoreConfig) -> list[str]:
    """Check that the store of a run can be used.

    Returns:
        A sentence if it does not answer: then the run continues without it.

    Raises:
        DataError: If there is no such bucket or folder, or it may not be used.
    """
    if config.uri is None:
        return []
    try:
        Objects(config.uri).check()
    except DownloadError as error:
        return [f"{error}; {_LATER}"]
    return []


class Reach:
    """Whether the store answers; each outage is said once.

    Args:
        say: Gets the sentence.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._said = False

    @property
    def is_away(self) -> bool:
        """Whether it did not answer a moment ago."""
        return time.monotonic() < self._away_until

    def note(self, error: GPTCoreError | None) -> None:
        """Note that the store has answered, refused or not answered."""
        with self._lock:
            away = isinstance(error, DownloadError)
            self._away_until = time.monotonic() + _PAUSE_SECONDS if away else 0.0
            if error is not None and not self._said:
                self._say(f"{error}; {_LATER}")
            self._said = error is not None


class Uploads:
    """A thread that does one job after the other.

    Args:
        reach: Whether the store answers.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Callable[[], None]]]
        self._jobs = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._n_open = 0
        self._thread: threading.Thread | None = None

    def add(self, job: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Do a job in the background; returns at once.

        Args:
            job: Raises a DataError or a DownloadError if the store refuses or does not answer.
            then: Called after it, however it ended.
        """
        with self._changed:
            self._n_open += 1
        self._jobs.put((job, then))
        if self._thread is None:
            run = copy_context().run  # with Prefect's settings, which say where records are
            self._thread = threading.Thread(
                target=run, args=(self._work,), name="store-uploads", daemon=True
            )
            self._thread.start()

    def finish(self, seconds: float | None = None) -> bool:
        """Wait until every job is done or was left out.

        Returns:
            Whether that is so, after at most so many seconds.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._n_open == 0, seconds)

    def _work(self) -> None:
        while True:
            job, then = self._jobs.get()
            try:
                if not self._reach.is_away:
                    job()
                    self._reach.note(None)
            except GPTCoreError as error:
                self._reach.note(error)
            except Exception as error:  # one job's failure must not end the thread
                self._reach.note(DataError(f"something was not published: {error}"))
            finally:
                then()
                with self._changed:
                    self._n_open -= 1
                    self._changed.notify_all()
