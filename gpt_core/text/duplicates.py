"""Which texts were seen before, in constant memory."""

import sqlite3
from hashlib import blake2b
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.files import cannot_write

_CACHE_KIB = 64 << 10  # of the table's pages that are held in memory
_HASH_BYTES = 16  # among a billion texts, two different ones share one with probability 1e-21


class SeenTexts:
    """A set of texts, kept as hashes in a file that is gone when the block ends.

    Args:
        file: The file; it must not be there yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> "SeenTexts":
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
        """Note a text, given in UTF-8; False if it was there already.

        Raises:
            DataError: If the disk takes no more.
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
