"""Supervise servers and runs while ``gptflow up`` runs: restart them, and close what has ended.

Everything is done by one background thread, which nothing waits for.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from prefect._internal import observers
from prefect.runner import _scheduled_run_poller as poller
from prefect.utilities.services import critical_service_loop

from tasks.liveness import close_dead_runs
from tasks.restarts import Restarts
from tasks.servers import Server, recorded_servers, restart
from tasks.tracking import close_abandoned

_PAUSE_SECONDS = 5.0
_BETWEEN_STARTS_SECONDS = 30.0  # of a server that ends again and again
_MISSES = 10_000_000
"""Failed calls after which Prefect's worker gives up: never. Its own limit is three, and then it
ends all of its runs."""

R = TypeVar("R")

_log = logging.getLogger(__name__)


@contextmanager
def supervise(tell: Callable[[str], None], restarts: int = 0) -> Iterator[None]:
    """Start dead servers and killed runs again and close dead runs during the block.

    Args:
        tell: Is called with a line for everything that was done.
        restarts: How often a killed run of a deployment is started again.
    """
    _never_give_up()
    stop = threading.Event()
    servers = [_Supervised(server) for server in recorded_servers()]
    work = partial(_work, stop, servers, Restarts(restarts), tell)
    thread = threading.Thread(target=work, name="supervision", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_PAUSE_SECONDS)


@dataclass(slots=True)
class _Supervised:
    """A server, and when it was last started again."""

    server: Server
    started: float = -_BETWEEN_STARTS_SECONDS

    def look_after(self, tell: Callable[[str], None]) -> None:
        """Start the server again if it ended."""
        if self.server.is_alive() or time.monotonic() - self.started < _BETWEEN_STARTS_SECONDS:
            return
        self.started = time.monotonic()
        self.server = restart(self.server)
        tell(f"{self.server.kind}'s server had ended: it starts again at {self.server.url}")


def _never_give_up() -> None:
    """Let Prefect's worker wait for its server as long as it is away."""
    patient = partial(critical_service_loop, consecutive=_MISSES, printer=_log.info)
    for module in (poller, observers):
        module.critical_service_loop = patient  # type: ignore[attr-defined]


def _work(
    stop: threading.Event,
    servers: list[_Supervised],
    restarts: Restarts,
    tell: Callable[[str], None],
) -> None:
    ended = "closed {} runs in {} whose process had ended"
    tasks = (
        (close_dead_runs, ended.format("{}", "Prefect")),
        (restarts.close_lost, ended.format("{}", "Prefect")),
        (close_abandoned, ended.format("{}", "MLflow")),
        (restarts.start_killed, "started {} runs again that had been killed"),
    )
    while not stop.wait(_PAUSE_SECONDS):
        for each in servers:
            _attempt(partial(each.look_after, tell), f"{each.server.kind}'s server")
        for function, line in tasks:
            number = _attempt(function, function.__name__)
            if number:
                tell(line.format(number))


def _attempt(function: Callable[[], R], what: str) -> R | None:
    """Call a function; what fails now, such as while a server is away, is done the next time."""
    try:
        return function()
    except Exception as error:
        _log.info("%s could not be looked after: %s", what, error)
        return None
