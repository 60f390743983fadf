"""One thread that owns a decoding engine: it admits, steps and cancels requests in turn.

Requests are submitted from an event loop, which gets everything that a step brought to all of them
in one call. A request that waits is first in, first out. When the engine fails, every request that
runs or waits gets an error, and so does every later one.
"""

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from gpt_core.errors import DataError
from gpt_core.generation.requests import Request, Update
from gpt_core.serving.errors import ApiError, busy, invalid

logger = logging.getLogger(__name__)


class Decoder(Protocol):
    """The methods that the scheduler uses of ``gpt_core.generation.engine.Engine``."""

    @property
    def n_free(self) -> int:
        """Slots without a request."""

    def add(self, request: Request) -> int:
        """Admit a request; return its id."""

    def cancel(self, request_id: int) -> None:
        """End a request without an update."""

    def step(self) -> list[Update]:
        """Decode one token of each running request."""


@dataclass(eq=False, slots=True)
class _Job:
    """One request on its way through the queue and a slot."""

    request: Request
    index: int
    submission: "Submission"
    engine_id: int | None = None


@dataclass(eq=False, slots=True)
class Submission:
    """Requests that were submitted together, and what the engine brought to them.

    Its methods belong to the event loop that submitted it.
    """

    scheduler: "Scheduler"
    jobs: list[_Job] = field(default_factory=list)
    submitted: float = field(default_factory=time.monotonic)
    started: float | None = None
    """When the first of them got a slot."""

    _arrived: deque[tuple[int, Update | ApiError]] = field(default_factory=deque)
    _arrival: "asyncio.Future[None] | None" = None
    """Awaited while nothing has arrived."""

    def cancel(self, index: int | None = None) -> None:
        """End one of the requests, or all; those that have ended are not affected."""
        self.scheduler.cancel([job for job in self.jobs if index in (None, job.index)])

    async def next(self) -> tuple[int, Update]:
        """Wait for what a step brings to one of the requests; return it with the request's index.

        Raises:
            ApiError: If the request failed.
        """
        while not self._arrived:
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        index, update = self._arrived.popleft()
        if isinstance(update, ApiError):
            raise update
        return index, update

    def put(self, index: int, update: Update | ApiError) -> None:
        """Let ``next`` return what a step brought, or raise why the request failed."""
        self._arrived.append((index, update))
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


class Scheduler:
    """Decodes the requests of one model in a thread of its own.

    Args:
        name: The model's name, for the log.
        make_engine: Builds the engine, in the thread that then uses it.
        n_slots: Slots of the engine.
        max_waiting: Requests that may wait for a slot.
        loop: The event loop that submits requests.
        threads: Threads of torch; None takes one fewer than there are cores.
    """

    def __init__(
        self,
        name: str,
        make_engine: Callable[[], Decoder],
        n_slots: int,
        max_waiting: int,
        loop: asyncio.AbstractEventLoop,
        threads: int | None = None,
    ) -> None:
        self._threads = threads
        self.n_slots, self.max_waiting = n_slots, max_waiting
        self.on_step: Callable[[float, int], None] = lambda seconds, tokens: None
        self._name, self._loop = name, loop
        self._make_engine: Callable[[], Decoder] | None = make_engine
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._running: dict[int, _Job] = {}
        self._cancelled: list[_Job] = []
        self._closing = False
        self._error: BaseException | None = None
        self._failure: str | None = None
        self._step_since: float | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread and wait until the engine is built.

        Raises:
            Exception: Whatever building the engine raised.
        """
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()  # it frees what it has built, see ``close``
            raise self._error

    def submit(self, requests: Sequence[Request]) -> Submission:
        """Queue requests; all of them or none.

        Raises:
            ApiError: If they can never fit, the queue is full, or the engine has failed.
        """
        submission = Submission(self)
        jobs = [_Job(request, index, submission) for index, request in enumerate(requests)]
        limit = self.n_slots + self.max_waiting
        if len(jobs) > limit:
            raise invalid(f"prompts times n must be at most {limit}, got {len(jobs)}", "n")
        with self._changed:
            if self._failure is not None:
                raise ApiError(503, self._failure, code="engine_dead")
            if self._closing:
                raise busy("the model is being stopped", "stopping")
            if self.n_running + len(self._waiting) + len(jobs) > limit:
                raise busy("the queue is full: try again later", "queue_full", 429)
            submission.jobs = jobs
            self._waiting.extend(jobs)
            self._changed.notify()
        return submission

    def cancel(self, jobs: Sequence[_Job]) -> None:
        """End requests; a waiting one leaves the queue at once, a running one before a step."""
        with self._changed:
            for job in jobs:
                if job.engine_id in self._running and self._running[job.engine_id] is job:
                    self._cancelled.append(job)
                else:
                    with suppress(ValueError):
                        self._waiting.remove(job)
            self._changed.notify()

    def close(self) -> None:
        """Admit nothing more; the thread ends after what runs and waits.

        Join it before the process ends: one that is inside torch by then aborts the process.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()

    def abort(self, message: str) -> None:
        """Admit nothing more, and end every request with an error."""
        with self._changed:
            jobs = [*self._waiting, *self._running.values()]
            self._waiting.clear()
            self._cancelled += self._running.values()
            self._closing = True
            self._changed.notify()
        self._hand_over([(job, busy(message, "stopping")) for job in jobs])

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread's end, after ``close`` or ``abort``; whether it came in time."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def n_running(self) -> int:
        """Requests that have a slot."""
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    @property
    def failure(self) -> str | None:
        """Why the engine can answer nothing any more, or None."""
        if self._failure is None and self._ready.is_set() and not self._thread.is_alive():
            return None if self._closing else f"the engine of {self._name} has ended"
        return self._failure

    def stalled_seconds(self) -> float:
        """How long the present step has taken."""
        since = self._step_since
        return 0.0 if since is None else time.monotonic() - since

    def _work(self) -> None:
        import torch

        from gpt_core.cores import usable_cores

        torch.set_num_threads(self._threads or max(1, usable_cores() - 1))  # of this thread alone
        try:
            with torch.inference_mode():
                assert self._make_engine is not None
                engine = self._make_engine()
                self._make_engine = None  # the weights live as long as this thread
                self._ready.set()
                while self._admit(engine):
                    self._step(engine)
        except BaseException as error:
            self._fail(error)
        finally:
            self._ready.set()

    def _admit(self, engine: Decoder) -> bool:
        """Wait for work, end what was cancelled and fill the free slots; False at the end."""
        refused = []
        with self._changed:
            while not (self._waiting or self._running or self._closing):
                self._changed.wait()
            for job in self._cancelled:
                if job.engine_id is not None and self._running.pop(job.engine_id, None) is job:
                    engine.cancel(job.engine_id)
            self._cancelled.clear()
            while self._waiting and engine.n_free:
                job = self._waiting.popleft()
                try:
                    job.engine_id = engine.add(job.request)
                except DataError as error:
                    refused.append((job, invalid(str(error), "prompt")))
                    continue
                self._running[job.engine_id] = job
                if job.submission.started is None:
                    job.submission.started = time.monotonic()
            over = self._closing and not (self._waiting or self._running)
        self._hand_over(refused)
        return not over

    def _step(self, engine: Decoder) -> None:
        if not self._running:
            return
        self._step_since = started = time.monotonic()
        updates = engine.step()
        self._step_since = None
        self.on_step(time.monotonic() - started, sum(len(each.tokens) for each in updates))
        arrived: list[tuple[_Job, Update | ApiError]] = []
        with self._changed:
            for update in updates:
                job = self._running.get(update.request_id)
                if job is None:
                    continue
                arrived.append((job, update))
                if update.finish is not None:
                    del self._running[update.request_id]
        self._hand_over(arrived)

    def _fail(self, error: BaseException) -> None:
        """Record that the engine has failed, and end every request with an error."""
        place = _place(error)
        logger.error(
            "the engine of %s has failed: %s at %s", self._name, type(error).__name__, place
        )
        with self._changed:
            self._error = error
            self._failure = f"the engine of {self._name} has failed: restart the server"
            jobs = list(itertools.chain(self._running.values(), self._waiting))
            self._running.clear()
            self._waiting.clear()
            self._step_since = None
        failed = ApiError(500, f"the engine of {self._name} has failed", code="engine_dead")
        self._hand_over([(job, failed) for job in jobs])

    def _hand_over(self, arrived: Sequence[tuple[_Job, Update | ApiError]]) -> None:
        """Give the event loop what has arrived, in one call."""
        if arrived:
            with suppress(RuntimeError):  # the loop was closed: nobody listens any more
                self._loop.call_soon_threadsafe(_deliver, arrived)


def _deliver(arrived: Sequence[tuple[_Job, Update | ApiError]]) -> None:
    for job, update in arrived:
        job.submission.put(job.index, update)


def _place(error: BaseException) -> str:
    """The file and line that raised an error; its message may hold a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
