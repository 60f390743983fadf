"""Signatures on disk: those of a part, and the hashes of their bands in ascending order.

A part has two files. ``signatures`` has those of its documents one after the other. ``bands`` has
runs of documents; a run has the sorted hashes of each band, then their rows in the same order, so
that a range of the hashes of one band is read from all parts without the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from gpt_core.text.minhash import N_HASHES, Signature, hash_bands

Numbers = NDArray[np.integer]
"""Numbers of documents, counted through all parts."""

_SIGNATURE_BYTES = 4 * N_HASHES
_RUN = 1 << 15  # documents of a run: 32 MiB of signatures in memory
_ROW = np.dtype("<u4")
_HASH = np.dtype("<u8")


@dataclass(frozen=True)
class SignatureFiles:
    """The files of a part."""

    folder: Path

    @property
    def signatures(self) -> Path:
        """The file to which ``write_signature`` appends."""
        return self.folder / "signatures"

    @property
    def bands(self) -> Path:
        """The file of ``write_bands``."""
        return self.folder / "bands"

    @property
    def count(self) -> int:
        """Documents of the part."""
        return self.signatures.stat().st_size // _SIGNATURE_BYTES


def write_signature(file: IO[bytes], signature: Signature) -> None:
    """Append a signature to the file of a part."""
    file.write(signature.astype("<u4", copy=False).tobytes())


def write_bands(files: SignatureFiles, rows: int) -> None:
    """Write the hashes of the bands of a part whose signatures are written.

    Args:
        files: The part.
        rows: Numbers of a signature in a band.
    """
    with files.bands.open("wb") as target:
        for start, count in _runs(files.count):
            taken = np.fromfile(
                files.signatures, "<u4", count * N_HASHES, offset=start * _SIGNATURE_BYTES
            )
            hashes = hash_bands(taken.reshape(count, N_HASHES), rows).T
            order = np.argsort(hashes, axis=1, kind="stable")
            target.write(np.take_along_axis(hashes, order, axis=1).astype(_HASH).tobytes())
            target.write((order + start).astype(_ROW).tobytes())


class SignatureTable:
    """The signatures of all parts, numbered through in the order of the parts.

    Args:
        parts: The files of each part.
    """

    def __init__(self, parts: Sequence[SignatureFiles]) -> None:
        self._parts = parts
        self._counts = [part.count for part in parts]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The number of the first document of each part, then the number of all documents."""
        return np.cumsum([0, *self._counts])

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The smaller type that holds all numbers: half the memory for up to four billion."""
        return np.dtype("<u4" if self.starts[-1] < 1 << 32 else "<i8")

    def read_band(
        self, band: int, n_bands: int, start: int, stop: int
    ) -> tuple[Numbers, NDArray[np.uint64]]:
        """The documents whose hash of a band is in a range.

        Args:
            band: Which of the bands.
            n_bands: Bands of a signature.
            start: The first hash of the range.
            stop: Behind its last one.

        Returns:
            Numbers and hashes, those of the same hash in the order of their numbers.
        """
        numbers, hashes = [np.empty(0, self.dtype)], [np.empty(0, np.uint64)]
        for part, before, count in zip(self._parts, self.starts[:-1], self._counts, strict=True):
            if not count:
                continue
            content = np.memmap(part.bands, np.uint8, "r")
            for first, size in _runs(count):
                at = first * n_bands * (_HASH.itemsize + _ROW.itemsize)
                ordered = _column(content, _HASH, at, band, size)
                low = np.searchsorted(ordered, np.uint64(start))
                high = np.searchsorted(ordered, np.uint64(stop - 1), side="right")
                rows = _column(content, _ROW, at + n_bands * size * _HASH.itemsize, band, size)
                hashes.append(np.array(ordered[low:high], np.uint64))
                numbers.append((rows[low:high] + before).astype(self.dtype))
        every, order = np.concatenate(hashes), np.concatenate(numbers)
        places = np.argsort(every, kind="stable")
        return order[places], every[places]

    def count_agreeing(self, ones: Numbers, others: Numbers) -> NDArray[np.int64]:
        """In how many of the numbers the signatures of each pair agree."""
        wanted, places = np.unique(np.concatenate([ones, others]), return_inverse=True)
        taken = self._take(wanted)
        one, other = places[: len(ones)], places[len(ones) :]
        agreeing: NDArray[np.int64] = (taken[one] == taken[other]).sum(axis=1)
        return agreeing

    def _take(self, wanted: Numbers) -> NDArray[np.uint32]:
        """The signatures of some documents, which are in ascending order, shape (N, N_HASHES).

        They are read one by one: pages of a mapped file would count as memory of the process.
        """
        taken = np.empty((len(wanted), N_HASHES), "<u4")
        ends = np.searchsorted(wanted, self.starts)
        for part in np.flatnonzero(np.diff(ends)).tolist():
            offset = int(self.starts[part])
            with self._parts[part].signatures.open("rb", buffering=0) as file:
                for place in range(ends[part], ends[part + 1]):
                    file.seek((int(wanted[place]) - offset) * _SIGNATURE_BYTES)
                    taken[place] = np.frombuffer(file.read(_SIGNATURE_BYTES), "<u4")
        return taken


def _runs(count: int) -> Iterator[tuple[int, int]]:
    """The first document and the size of each run."""
    for start in range(0, count, _RUN):
        yield start, min(_RUN, count - start)


def _column(
    content: NDArray[np.uint8], dtype: np.dtype[np.unsignedinteger], at: int, band: int, size: int
) -> NDArray[np.unsignedinteger]:
    """The values of a band in a table of all bands that begins at a byte of the file."""
    first = at + band * size * dtype.itemsize
    return content[first : first + size * dtype.itemsize].view(dtype)
