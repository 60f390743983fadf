"""The judge's replies on disk: each is kept as it arrives, so that none is asked for twice.

A reply is on disk before the next call begins; a killed run loses the calls under way alone. The
key is the hash of everything that the reply depends on, which has no secret in it.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from gpt_core.durable import make_directory
from gpt_core.errors import DataError
from gpt_core.files import canonical_json
from gpt_core.judging.client import Reply

_WAIT = 30.0  # seconds for another process that writes
_TABLE = """CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, text TEXT, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, seconds REAL NOT NULL)"""


def reply_key(*parts: object) -> str:
    """Hash what a reply depends on: address, model, messages, form, parameters, sample."""
    return hashlib.sha256(canonical_json(parts).encode("utf-8", "surrogatepass")).hexdigest()


class ReplyCache:
    """Replies by their keys, in a SQLite file that threads and processes may use at once.

    Args:
        path: The file; it is created if there is none.

    Raises:
        DataError: If it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        make_directory(path.parent)
        with self._errors():
            self._database = sqlite3.connect(
                path, timeout=_WAIT, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(_TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._database.close()

    def find(self, key: str) -> Reply | None:
        """The reply of a key, or None; see ``was_refused``."""
        with self._errors(), self._lock:
            row = self._database.execute(
                "SELECT text, prompt_tokens, completion_tokens, seconds FROM replies WHERE key=?",
                (key,),
            ).fetchone()
        if row is None or row[0] is None:
            return None
        text, prompt, completion, seconds = row
        return Reply(text=text, prompt_tokens=prompt, completion_tokens=completion, seconds=seconds)

    def was_refused(self, key: str) -> bool:
        """Whether the server did not take that form of a request."""
        with self._errors(), self._lock:
            row = self._database.execute(
                "SELECT text IS NULL FROM replies WHERE key=?", (key,)
            ).fetchone()
        return bool(row and row[0])

    def store(self, key: str, reply: Reply | None) -> None:
        """Keep a reply; None notes that the server refused the request."""
        kept = reply or Reply(text="")
        text = None if reply is None else kept.text.encode("utf-8", "replace").decode()
        row = (key, text, kept.prompt_tokens, kept.completion_tokens, kept.seconds)
        with self._errors(), self._lock:
            self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?)", row)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(
                f"{self._path}, where the judge's replies are kept, cannot be used: {error}; "
                "if it is damaged, delete it, and the judge is asked again"
            ) from error
