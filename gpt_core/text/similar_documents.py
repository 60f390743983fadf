"""Group the near duplicates of a corpus by their signatures, in bounded memory.

Signatures are written to files, one for each part of the corpus; the parts may be signed by any
number of processes. Grouping reads the files in the order of the parts, so that the groups depend
on the documents and their order alone. In memory are eight bytes for each document and the hashes
of one band, or of a range of them where they are many.

Candidates are the documents that agree in a band of their signatures (locality-sensitive hashing);
of them those are near duplicates whose whole signatures agree in the fraction of the threshold.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from gpt_core.text.minhash import N_HASHES, Signature, band_rows, hash_bands

Numbers = NDArray[np.int64]
"""Numbers of documents, counted through all files."""

_SIGNATURE_BYTES = 4 * N_HASHES
_CHUNK = 1 << 13  # signatures in memory, 8 MiB
_MAX_HASHES = 1 << 24  # of a band in memory, 128 MiB
_N_SHOWN = 32  # near duplicates of which the texts are looked at for examples
_MAX_LEADERS = 32  # of documents with the same band that the others are compared with


def write_signature(file: IO[bytes], signature: Signature) -> None:
    """Append a signature to the file of a part."""
    file.write(signature.astype("<u4", copy=False).tobytes())


def group_documents(
    files: Sequence[Path], threshold: float, scratch: Path, most_hashes: int = _MAX_HASHES
) -> Numbers:
    """Group documents that are near duplicates of each other, directly or through others.

    Args:
        files: The signatures of each part, in the order of the parts.
        threshold: Least similarity of near duplicates, in (0, 1].
        scratch: A folder for temporary files.
        most_hashes: Hashes of a band that are in memory at once; the groups do not depend on it.

    Returns:
        For each document the number of the first of its group.
    """
    signatures = _Signatures(files)
    groups = _Groups(signatures, threshold)
    for file in _write_bands(signatures, threshold, scratch):
        for numbers, hashes in _ranges(file, len(signatures), most_hashes):
            order = np.argsort(hashes, kind="stable")
            _compare_bucket_members(numbers[order], hashes[order], groups)
        file.unlink()
    return groups.first(np.arange(len(signatures)))


def write_similar(
    files: Sequence[Path], targets: Sequence[Path], threshold: float, scratch: Path
) -> list[tuple[int, int]]:
    """Write for each part the rows that are near duplicates of an earlier document.

    Args:
        files: The signatures of each part, in the order of the parts.
        targets: The file of each part, whose name ends in ``.npy``.
        threshold: Least similarity of near duplicates, in (0, 1].
        scratch: A folder for temporary files.

    Returns:
        The numbers of the first documents of them, counted through all parts, each after that of
        the one it is a near duplicate of.
    """
    groups = group_documents(files, threshold, scratch)
    numbers = np.flatnonzero(groups != np.arange(len(groups)))
    start = 0
    for file, target in zip(files, targets, strict=True):
        stop = start + file.stat().st_size // _SIGNATURE_BYTES
        first, last = np.searchsorted(numbers, [start, stop])
        np.save(target, numbers[first:last] - start)
        start = stop
    shown = numbers[:_N_SHOWN]
    return list(zip(groups[shown].tolist(), shown.tolist(), strict=True))


def read_similar(target: Path) -> frozenset[int]:
    """The rows of a part that ``write_similar`` found."""
    return frozenset(np.load(target).tolist())


class _Signatures:
    """The signatures of all parts as one table on disk."""

    def __init__(self, files: Sequence[Path]) -> None:
        counts = [file.stat().st_size // _SIGNATURE_BYTES for file in files]
        self._tables = [
            np.memmap(file, "<u4", "r", shape=(count, N_HASHES))
            for file, count in zip(files, counts, strict=True)
            if count
        ]
        self._ends = np.cumsum([len(table) for table in self._tables])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._tables else 0

    def chunks(self) -> Iterator[NDArray[np.uint32]]:
        """All signatures in their order, a few thousand at a time."""
        for table in self._tables:
            for start in range(0, len(table), _CHUNK):
                yield np.asarray(table[start : start + _CHUNK], np.uint32)

    def take(self, numbers: Numbers) -> NDArray[np.uint32]:
        """The signatures of some documents, shape (N, N_HASHES)."""
        taken = np.empty((len(numbers), N_HASHES), np.uint32)
        places = np.searchsorted(self._ends, numbers, side="right")
        for place in np.unique(places):
            here, table = places == place, self._tables[place]
            taken[here] = table[numbers[here] - (self._ends[place] - len(table))]
        return taken


class _Groups:
    """Groups of documents, each named by its first."""

    def __init__(self, signatures: _Signatures, threshold: float) -> None:
        self._signatures = signatures
        self._least = int(np.ceil(threshold * N_HASHES - 1e-9))
        self._roots = np.arange(len(signatures))

    def first(self, numbers: Numbers) -> Numbers:
        """The first document of the group of each document."""
        roots: Numbers = self._roots[numbers]
        while (above := self._roots[roots]).tobytes() != roots.tobytes():
            roots = above
        return roots

    def join_similar(self, ones: Numbers, others: Numbers) -> None:
        """Join the groups of pairs of documents whose signatures are similar."""
        apart = self.first(ones) != self.first(others)
        ones, others = ones[apart], others[apart]
        for start in range(0, len(ones), _CHUNK):
            one, other = ones[start : start + _CHUNK], others[start : start + _CHUNK]
            agreeing = (self._signatures.take(one) == self._signatures.take(other)).sum(axis=1)
            similar = agreeing >= self._least
            for i, j in zip(one[similar].tolist(), other[similar].tolist(), strict=True):
                low, high = sorted((self._root(i), self._root(j)))
                self._roots[high] = low

    def _root(self, number: int) -> int:
        while self._roots[number] != number:
            above = int(self._roots[self._roots[number]])
            self._roots[number] = above
            number = above
        return number


def _write_bands(signatures: _Signatures, threshold: float, scratch: Path) -> list[Path]:
    """Write the hashes of each band to a file of its own."""
    rows = band_rows(threshold)
    files = [scratch / f"band-{number:03}" for number in range(N_HASHES // rows)]
    for file in files:
        file.touch()
    for chunk in signatures.chunks():
        for file, hashes in zip(files, hash_bands(chunk, rows).T, strict=True):
            with file.open("ab") as opened:
                opened.write(np.ascontiguousarray(hashes, "<u8").tobytes())
    return files


def _ranges(file: Path, count: int, most: int) -> Iterator[tuple[Numbers, NDArray[np.uint64]]]:
    """The documents and hashes of a band, by ranges of hashes that fit into memory."""
    n_ranges = np.uint64(-(-count // most))
    for number in range(int(n_ranges)):
        numbers, hashes = [], []
        for start in range(0, count, most):
            part = np.fromfile(file, "<u8", min(most, count - start), offset=8 * start)
            here = np.flatnonzero(part % n_ranges == number)
            numbers.append(here + start)
            hashes.append(part[here])
        yield np.concatenate(numbers), np.concatenate(hashes)


def _compare_bucket_members(numbers: Numbers, hashes: NDArray[np.uint64], groups: _Groups) -> None:
    """Compare each document with the first ones that have the same hash.

    Args:
        numbers: Documents, sorted by their hashes, those of the same hash in their order.
        hashes: The sorted hashes.
        groups: Joined where they are similar.
    """
    begins = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    sizes = np.diff(np.append(begins, len(hashes)))
    leaders = np.repeat(begins, sizes)  # the place of the first of each one's bucket
    places = np.arange(len(hashes))
    for _ in range(_MAX_LEADERS):
        later = places > leaders
        places, leaders = places[later], leaders[later]
        if not len(places):
            return
        groups.join_similar(numbers[leaders], numbers[places])
        leaders = leaders + 1
