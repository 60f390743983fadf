"""Exact deduplication of documents in parts, by ranges of their hashes.

Each part has a file of the hashes of its texts in ascending order. A task takes one range of
hashes from all of these files, so its memory is bounded and no table holds them all. Of equal texts
the first is kept, in the order of the parts and of the rows in them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HASH_BYTES = 16  # probability of any collision among a billion texts: 1e-21
_RANGE_TEXTS = 1 << 22  # in a range of hashes, about: 200 MB of memory
_HASHES = 1 << 64  # values of the first half of a hash

Columns = NDArray[np.uint64]
"""Values of rows in columns, stored one after the other in a file."""


def hash_text(encoded: bytes) -> bytes:
    """The hash by which a text, encoded in UTF-8, is compared with others."""
    return blake2b(encoded, digest_size=_HASH_BYTES).digest()


def write_hashes(file: Path, hashes: bytes | bytearray) -> None:
    """Write the hashes of a part's rows in ascending order, each with the number of its row.

    Args:
        file: The file, whose name ends in ``.npy``.
        hashes: Those of ``hash_text`` for each row, one after the other.
    """
    halves = np.frombuffer(hashes, dtype=">u8").astype(np.uint64).reshape(-1, 2)
    rows = np.arange(len(halves), dtype=np.uint64)
    columns = np.stack([halves[:, 0], halves[:, 1], rows])
    np.save(file, columns[:, np.lexsort(columns[::-1])])


@dataclass(frozen=True, slots=True)
class HashRange:
    """The hashes of all parts whose first half is in a range."""

    files: tuple[Path, ...]
    """The files of ``write_hashes``, in the order of the parts."""

    start: int
    stop: int
    folder: Path
    """The folder for what is found; it exists when ``find_repeated`` is called."""

    @property
    def target(self) -> Path:
        """The file that ``find_repeated`` writes."""
        return self.folder / "repeated.npy"


def plan_ranges(
    files: Sequence[Path], n_texts: int, folder: Callable[[int], Path]
) -> list[HashRange]:
    """Plan the ranges of hashes, as many as their number of texts needs.

    Args:
        files: The files of ``write_hashes``, in the order of the parts.
        n_texts: How many hashes they have.
        folder: The folder of each range, by its number.
    """
    n_ranges = -(-n_texts // _RANGE_TEXTS) or 1
    ends = [_HASHES * number // n_ranges for number in range(n_ranges + 1)]
    return [
        HashRange(tuple(files), start, stop, folder(number))
        for number, (start, stop) in enumerate(pairwise(ends))
    ]


def find_repeated(part: HashRange) -> int:
    """Write the rows whose text an earlier row has, as columns of parts and rows.

    Returns:
        How many they are.
    """
    found: list[Columns] = [np.empty((4, 0), dtype=np.uint64)]
    for number, file in enumerate(part.files):
        columns: Columns = np.load(file, mmap_mode="r")
        ends = np.array([part.start, part.stop - 1], dtype=np.uint64)
        first = np.searchsorted(columns[0], ends[0], side="left")
        last = np.searchsorted(columns[0], ends[1], side="right")
        inside = np.asarray(columns[:, first:last])
        numbers = np.full((1, inside.shape[1]), number, dtype=np.uint64)
        found.append(np.concatenate([inside[:2], numbers, inside[2:]]))
    rows = np.concatenate(found, axis=1)
    rows = rows[:, np.lexsort(rows[::-1])]  # by hash, then by part and row
    equal = (rows[:2, 1:] == rows[:2, :-1]).all(axis=0)
    repeated = rows[2:, 1:][:, equal]
    np.save(part.target, repeated[:, np.lexsort(repeated[::-1])])
    return int(repeated.shape[1])


def read_repeated(ranges: Iterable[Path], number: int) -> frozenset[int]:
    """The rows of a part whose text an earlier row has, out of the files of ``find_repeated``."""
    found: set[int] = set()
    for file in ranges:
        columns: Columns = np.load(file, mmap_mode="r")
        first, last = np.searchsorted(columns[0], np.array([number, number + 1], dtype=np.uint64))
        found.update(columns[1, first:last].tolist())
    return frozenset(found)
