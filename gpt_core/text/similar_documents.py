"""Group the near duplicates of a corpus by their signatures, in parallel and bounded memory.

Candidates are the documents that agree in a band of their signatures (locality-sensitive hashing);
of them those are near duplicates whose whole signatures agree in the fraction of the threshold.
A task takes one range of the hashes of one band from the files of all parts, so that its memory is
bounded and documents with the same hash are in the same task. Its pairs are the edges of a graph
whose connected components are the groups. The bands take turns, twice as many in each round:
documents that an earlier round has put together are not compared again, which changes no group.

References:
    Broder 1997, "On the resemblance and containment of documents"; Leskovec et al. 2020, "Mining
    of Massive Datasets", section 3.4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpt_core.engine import Engine
from gpt_core.finished_parts import PartStore
from gpt_core.text.components import Pairs, connect, find_components, find_roots
from gpt_core.text.minhash import N_HASHES, band_rows
from gpt_core.text.signature_files import Numbers, SignatureFiles, SignatureTable

_CHUNK = 1 << 13  # pairs whose signatures are in memory, 16 MiB
_RANGE_DOCUMENTS = 1 << 19  # in a range of hashes, about: 50 MB of memory
_HASHES = 1 << 64  # values of a hash
_N_SHOWN = 32  # near duplicates of which the texts are looked at for examples
_MAX_LEADERS = 32  # of documents with the same band that the others are compared with


@dataclass(frozen=True, slots=True)
class BandRange:
    """The documents of all parts whose hash of a band is in a range."""

    parts: tuple[SignatureFiles, ...]
    threshold: float
    band: int
    start: int
    stop: int
    groups: Path | None
    """The groups of earlier rounds; None in the first."""

    folder: Path
    """The folder for the pairs; it exists when ``find_similar`` is called."""

    @property
    def pairs(self) -> Path:
        """The file that ``find_similar`` writes."""
        return self.folder / "pairs"


def find_similar(part: BandRange) -> int:
    """Write pairs of groups that near duplicates with the same hash join, no more than needed.

    Returns:
        How many they are.
    """
    table = SignatureTable(part.parts)
    n_bands = N_HASHES // band_rows(part.threshold)
    numbers, hashes = table.read_band(part.band, n_bands, part.start, part.stop)
    shared = np.zeros(len(hashes), bool)
    shared[1:] = hashes[1:] == hashes[:-1]
    shared[:-1] |= shared[1:]
    numbers, hashes = numbers[shared], hashes[shared]
    firsts = numbers if part.groups is None else find_roots(part.groups, numbers)
    names, nodes = np.unique(firsts, return_inverse=True)
    roots = np.arange(len(names))
    least = int(np.ceil(part.threshold * N_HASHES - 1e-9))
    for ones, others in _bucket_pairs(hashes):
        apart = roots[nodes[ones]] != roots[nodes[others]]
        ones, others = ones[apart], others[apart]
        for start in range(0, len(ones), _CHUNK):
            one, other = ones[start : start + _CHUNK], others[start : start + _CHUNK]
            similar = table.count_agreeing(numbers[one], numbers[other]) >= least
            connect(roots, nodes[one[similar]], nodes[other[similar]])
    joined = np.flatnonzero(roots != np.arange(len(roots)))
    np.stack([names[roots[joined]], names[joined]], axis=1).tofile(part.pairs)
    return len(joined)


def group_documents(
    parts: Sequence[SignatureFiles],
    threshold: float,
    store: PartStore,
    engine: Engine,
    basis: object = None,
    range_documents: int = _RANGE_DOCUMENTS,
) -> Pairs:
    """Group documents that are near duplicates of each other, directly or through others.

    Args:
        parts: The files of each part, with their bands.
        threshold: Least similarity of near duplicates, in (0, 1].
        store: Keeps the ranges that are finished.
        engine: Runs them.
        basis: All that the files of the parts depend on, as a value for ``fingerprint_of``.
        range_documents: Documents in a range, about; the groups do not depend on it.

    Returns:
        The documents that have near duplicates, in ascending order, each with the first of its
        group, shape (N, 2).
    """
    table, groups = SignatureTable(parts), None
    n_ranges = -(-int(table.starts[-1]) // range_documents) or 1
    ends = [_HASHES * number // n_ranges for number in range(n_ranges + 1)]
    for bands in _rounds(N_HASHES // band_rows(threshold)):
        ranges = [
            BandRange(
                tuple(parts), threshold, band, start, stop, groups,
                store.folder("pairs", band * n_ranges + number),
            )
            for band in bands
            for number, (start, stop) in enumerate(pairwise(ends))
        ]  # fmt: skip
        keys = [(basis, threshold, each.band, each.start, each.stop) for each in ranges]
        store.run(engine, find_similar, ranges, keys, int)
        files = [each.pairs for each in ranges]
        found = find_components(files if groups is None else [groups, *files], table.dtype)
        groups = store.directory / "groups"
        found.tofile(groups)
    return found


def write_similar(
    groups: Pairs, parts: Sequence[SignatureFiles], targets: Sequence[Path]
) -> list[tuple[int, int]]:
    """Write for each part the rows that are near duplicates of an earlier document.

    Args:
        groups: What ``group_documents`` gives.
        parts: The files of each part.
        targets: The file to write for each part, whose name ends in ``.npy``.

    Returns:
        The numbers of the first documents of them, counted through all parts, each after that of
        the one it is a near duplicate of.
    """
    later = groups[groups[:, 0] != groups[:, 1]]
    for (start, stop), target in zip(pairwise(SignatureTable(parts).starts), targets, strict=True):
        first, last = np.searchsorted(later[:, 0], [start, stop])
        np.save(target, later[first:last, 0].astype(np.int64) - start)
    return [(first, number) for number, first in later[:_N_SHOWN].tolist()]


def read_similar(target: Path) -> frozenset[int]:
    """The rows of a part that ``write_similar`` found."""
    return frozenset(np.load(target).tolist())


def _rounds(n_bands: int) -> Iterator[range]:
    """The bands of each round: one, then as many as all rounds before.

    Example:
        >>> [*_rounds(7)]
        [range(0, 1), range(1, 2), range(2, 4), range(4, 7)]
    """
    start = 0
    while start < n_bands:
        stop = max(1, 2 * start)
        yield range(start, min(stop, n_bands))
        start = stop


def _bucket_pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[Numbers, Numbers]]:
    """The places of the first documents with a hash, and of each later one with the same hash.

    Args:
        hashes: In ascending order.

    Yields:
        Pairs with the first document of each hash, then with the second, and so on.
    """
    begins = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
    sizes = np.diff(np.append(begins, len(hashes)))
    leaders = np.repeat(begins, sizes)
    places = np.arange(len(hashes))
    for _ in range(_MAX_LEADERS):
        later = places > leaders
        places, leaders = places[later], leaders[later]
        if not len(places):
            return
        yield leaders, places
        leaders = leaders + 1
