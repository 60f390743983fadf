"""Connected components of a graph whose nodes are numbers, as arrays.

The graph is a list of pairs; a component is named by its smallest node. Memory depends on the nodes
that occur in a pair, not on how many numbers there are.

References:
    Shiloach and Vishkin 1982, "An O(log n) parallel connectivity algorithm".
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.integer]
"""Pairs of nodes, shape (N, 2)."""
Nodes = NDArray[np.integer]
"""Nodes, shape (N,)."""

_CHUNK = 1 << 21  # pairs whose nodes are looked up at once


def connect(roots: Nodes, ones: Nodes, others: Nodes) -> None:
    """Add edges to components: each root that has a smaller neighbour is hung below the smallest.

    Args:
        roots: The smallest node of each node's component; changed to that after the addition.
        ones: One node of each edge.
        others: The other one.

    Example:
        >>> roots = np.arange(5)
        >>> connect(roots, np.array([4, 1]), np.array([3, 3]))
        >>> roots.tolist()
        [0, 1, 2, 1, 1]
    """
    while True:
        one, other = roots[ones], roots[others]
        apart = one != other
        if not apart.any():
            return
        ones, others, one, other = ones[apart], others[apart], one[apart], other[apart]
        np.minimum.at(roots, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(above := roots[roots], roots):
            roots[:] = above


def find_components(files: Sequence[Path], dtype: np.dtype[np.integer]) -> Pairs:
    """The components of a graph whose pairs are in files.

    Args:
        files: Pairs, one after the other.
        dtype: Of a node in the files and in the result.

    Returns:
        Each node that occurs in a pair, in ascending order, with the smallest of its component.
    """
    pairs = np.concatenate([np.fromfile(file, dtype) for file in files]).reshape(-1, 2)
    nodes = np.unique(pairs)
    roots = np.arange(len(nodes))
    for start in range(0, len(pairs), _CHUNK):
        ones, others = np.searchsorted(nodes, pairs[start : start + _CHUNK]).T
        connect(roots, ones, others)
    return np.stack([nodes, nodes[roots]], axis=1)


def find_roots(file: Path, nodes: Nodes) -> Nodes:
    """The smallest node of the component of each node.

    Args:
        file: What ``find_components`` gives, in a file.
        nodes: Some nodes; one that is not in the file is its own component.
    """
    roots, order = nodes.copy(), np.argsort(nodes)
    ordered = nodes[order]
    width = 2 * nodes.dtype.itemsize
    for start in range(0, file.stat().st_size, width * _CHUNK):
        known = np.fromfile(file, nodes.dtype, 2 * _CHUNK, offset=start).reshape(-1, 2)
        low = np.searchsorted(ordered, known[0, 0])
        high = np.searchsorted(ordered, known[-1, 0], side="right")
        places = np.searchsorted(known[:, 0], ordered[low:high])
        found = known[places, 0] == ordered[low:high]
        roots[order[low:high][found]] = known[places[found], 1]
    return roots
