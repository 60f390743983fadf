"""Leases: a training that one machine has begun is left to it while it lives.

Object stores have no locks, and PyArrow writes none on a condition. So a lease is an object that
its holder writes again and again. Who wants it writes it as well and looks a moment later whose it
is (Fischer's algorithm): of several that ask at once, the last to write gets it. Whether a holder
lives is measured by the clock of the one who waits: clocks of machines are never compared. Should
two machines hold one all the same, they compute the same bytes, and the record of one stays.
"""

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from gpt_core.errors import GPTCoreError
from gpt_core.files import canonical_json
from tasks.store.objects import Objects
from tasks.store.records import place

LEASE = "lease.json"

_CONTENTION_SECONDS = 0.5  # longer than writing a small object takes
_LIMIT = 1 << 12  # bytes
_POLL_SECONDS = 5.0
_BEATS = 4  # while a lease lasts
_MAX_NAME = 100

Content = dict[str, object]


class Lease:
    """The right to train one stage; once acquired, a thread keeps it alive until its release.

    Args:
        objects: The store.
        key: The stage's key.
        run: The name of the run, which others see.
        home: Tells homes apart: what a killed process of this home held is taken at once.
        seconds: How long it lasts without a sign of life.
        say: Gets a sentence when it is lost to another machine.
    """

    def __init__(
        self,
        objects: Objects,
        key: str,
        run: str,
        home: str,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._objects, self._name, self._say = objects, place(key, LEASE), say
        self._home, self._seconds = home, seconds
        self._content: Content = {
            "home": home, "host": socket.gethostname(), "run": run, "token": secrets.token_hex(8),
        }  # fmt: skip
        self._beat = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, stage: str, is_done: Callable[[], bool]) -> bool:
        """Take the lease, when nobody else has it or its holder has shown no sign of life.

        Args:
            stage: The stage, for the sentence that is shown while waiting.
            is_done: Whether the holder has published what this machine waits for.

        Returns:
            Whether it is held; False if ``is_done``.

        Raises:
            DataError: If the store refuses.
            DownloadError: If the store does not answer.
        """
        seen, since, waiting = self._read(), time.monotonic(), False
        while True:
            is_dead = time.monotonic() - since > self._seconds
            if seen is None or seen.get("home") == self._home or is_dead:
                self._write()
                time.sleep(_CONTENTION_SECONDS)
                if self._is_ours(self._read()):
                    self._start()
                    return True
            elif not waiting:
                self._say(f"{_describe(seen)} is at {stage}: waiting for its result, or its end")
                waiting = True
            if is_done():
                return False
            time.sleep(min(_POLL_SECONDS, self._seconds / _BEATS / 2))
            found = self._read()
            if found != seen:
                seen, since = found, time.monotonic()

    def release(self) -> None:
        """Let others have it."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(GPTCoreError):
            if self._is_ours(self._read()):
                self._objects.delete(self._name)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._keep, name="store-lease", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        """Show signs of life until it is released, or another machine has taken it."""
        while not self._ended.wait(self._seconds / _BEATS):
            with suppress(GPTCoreError):  # the store is away: perhaps it is back at the next beat
                found = self._read()
                if found is not None and not self._is_ours(found):
                    if found.get("home") != self._home:
                        self._say(
                            f"{_describe(found)} has taken this training over, because the store "
                            f"had no sign of life from here for {self._seconds:g} seconds: both "
                            "continue and make the same"
                        )
                    return
                self._write()

    def _read(self) -> Content | None:
        """The lease as it is in the store; one that cannot be understood is none."""
        content = self._objects.read(self._name, _LIMIT)
        with suppress(ValueError, RecursionError):
            found = json.loads(content or b"")
            if isinstance(found, dict):
                return found
        return None

    def _write(self) -> None:
        self._beat += 1
        content = canonical_json({**self._content, "beat": self._beat})
        self._objects.write(self._name, content.encode())

    def _is_ours(self, found: Content | None) -> bool:
        return found is not None and found.get("token") == self._content["token"]


def _describe(found: Content) -> str:
    host, run = (str(found.get(name))[:_MAX_NAME] for name in ("host", "run"))
    return f"the run {run!r} on {host!r}"
