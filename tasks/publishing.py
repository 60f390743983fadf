"""Send pages and progress to Prefect from a background thread; nothing waits for the server.

Prefect's own client retries for more than a minute while its server is away, so that a progress
bar would stop the training. Here the newest content of each page waits until the server is back,
and a page that is replaced before it was sent is never sent.
"""

import logging
import threading
import time
from collections import OrderedDict
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import PrefectException
from prefect.utilities.context import get_task_and_flow_run_ids

_MAX_WAITING = 200  # pages; the oldest is dropped
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 15.0
_ANSWER_SECONDS = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    """An artifact, and the context in which it was published: its settings."""

    artifact: ArtifactCreate
    context: Context


class Publisher:
    """Keeps the newest content of each page until Prefect has it.

    Args:
        pause_seconds: Between the first two tries; it doubles while the server is away.
    """

    def __init__(self, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._pause_seconds = pause_seconds
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, _Page] = OrderedDict()
        self._sending = False
        self._ids: dict[str, UUID] = {}
        self._thread: threading.Thread | None = None

    def publish(
        self, page: str, key: str, kind: str, data: object, description: str | None = None
    ) -> None:
        """Publish a page, or replace its content; returns at once.

        Args:
            page: The same for every content of one page.
            key: Its key in Prefect's UI.
            kind: ``markdown``, ``table`` or ``progress``.
            data: Its content.
            description: What the UI shows beside it.
        """
        task_run, flow_run = get_task_and_flow_run_ids()
        artifact = ArtifactCreate(
            key=key, type=kind, description=description, data=data,
            flow_run_id=flow_run, task_run_id=task_run,
        )  # fmt: skip
        with self._changed:
            self._waiting[page] = _Page(artifact, copy_context())
            if len(self._waiting) > _MAX_WAITING:
                self._waiting.popitem(last=False)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="prefect-pages", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is sent, no longer than some seconds.

        Returns:
            Whether everything is sent.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._sending), seconds)

    def _work(self) -> None:
        pause = self._pause_seconds
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                name, page = self._waiting.popitem(last=False)
                self._sending = True
            sent = self._send(name, page)
            with self._changed:
                self._sending = False
                if not sent:
                    self._waiting.setdefault(name, page)  # unless there is a newer content
                self._changed.notify_all()
            pause = self._pause_seconds if sent else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            if not sent:
                time.sleep(pause)

    def _send(self, name: str, page: _Page) -> bool:
        """Send a page; False if the server is away, so that it should be tried again."""
        try:
            page.context.run(self._send_now, name, page.artifact)
        except HTTPStatusError as error:
            if error.response.status_code >= 500:
                return False
            _log.warning("Prefect refused the page %s: %s", page.artifact.key, error)
        except (HTTPError, PrefectException, OSError):
            return False
        except Exception as error:  # one page's mistake must not end the thread
            _log.warning("the page %s was not sent to Prefect: %s", page.artifact.key, error)
        return True

    def _send_now(self, name: str, artifact: ArtifactCreate) -> None:
        settings = {"timeout": _ANSWER_SECONDS}
        # A new client fails at once while nobody listens, one that was connected retries.
        with get_client(sync_client=True, httpx_settings=settings) as client:
            if name in self._ids:
                client.update_artifact(self._ids[name], ArtifactUpdate(data=artifact.data))
            else:
                self._ids[name] = client.create_artifact(artifact).id


@cache
def publisher() -> Publisher:
    """The publisher of this process."""
    return Publisher()
