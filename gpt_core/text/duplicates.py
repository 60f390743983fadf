"""Exact deduplication in constant memory."""

import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import Self

from gpt_core.errors import DataError
from gpt_core.files import cannot_write

_CACHE_KIB = 64 << 10  # memory for pages of the table
_HASH_BYTES = 16  # probability of any collision among a billion texts: 1e-21


class SeenTexts:
    """A set of texts, stored as hashes in a temporary SQLite file.

    Use it as a context manager: the file is deleted when the block ends.

    Args:
        file: The file; it must not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> Self:
        try:
            self._table = sqlite3.connect(self._file, isolation_level=None)
            for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
                self._table.execute(f"PRAGMA {pragma}")
            self._table.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY) WITHOUT ROWID")
            self._table.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        return self

    def add(self, encoded: bytes) -> bool:
        """Add a text, encoded in UTF-8; return False if the set already has it.

        Raises:
            DataError: If the file cannot be written.
        """
        digest = blake2b(encoded, digest_size=_HASH_BYTES).digest()
        try:
            added = self._table.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        return added.rowcount == 1

    def _unwritable(self, error: sqlite3.Error) -> DataError:
        return cannot_write(self._file.parent, str(error), "free some space")

    def __exit__(self, *error: object) -> None:
        self._table.close()
        self._file.unlink(missing_ok=True)
