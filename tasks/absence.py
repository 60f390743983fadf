"""End a flow run although its Prefect server is away: the results are kept, the wait is short."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from httpx import HTTPError
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from tasks.progress import current_display
from tasks.publishing import publisher
from tasks.servers import running_prefect_server

R = TypeVar("R")

_FLUSH_SECONDS = 2.0
_ANSWER_SECONDS = 2.0
_AWAY = threading.Event()


def silence_logging_errors() -> None:
    """Keep Prefect's complaints about a log that it cannot send away from the terminal."""
    logging.raiseExceptions = False


def exit_if_prefect_is_away(code: int) -> None:
    """Exit at once if a run found Prefect away; its threads would wait for it for minutes.

    Args:
        code: The exit code.
    """
    if _AWAY.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Outcome:
    """Result or error of a flow's function, whatever Prefect's engine makes of it."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._result: object = None
        self._ended = False

    def keep(self, function: Callable[[], R]) -> R:
        """Call a flow's function in its run, and prepare for the end of the run."""
        try:
            self._result = result = function()
        except Exception as error:
            self._error = error
            raise
        finally:
            self._ended = True
            _expect_absence()
        return result

    def restore(self, function: Callable[[], R]) -> R:
        """Run a flow; if its end cannot be reported to Prefect, its own outcome counts.

        Raises:
            Exception: What the flow raised, or Prefect before the flow's end.
        """
        try:
            return function()
        except (HTTPError, PrefectException, OSError) as error:
            if not self._ended or error is self._error:
                raise
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


def _expect_absence() -> None:
    """Send what Prefect does not have yet; if it is away, say so and let its engine fail soon."""
    if publisher().flush(_FLUSH_SECONDS) and running_prefect_server():
        return
    current_display().notice(
        "Prefect's server is away: its record of this run is incomplete, the results are not"
    )
    _AWAY.set()
    get_current_settings().client.max_retries = 0  # else a minute for each of several calls
    context = FlowRunContext.get()
    if context is not None:
        context.client._client.timeout = _ANSWER_SECONDS  # for a server that hangs
