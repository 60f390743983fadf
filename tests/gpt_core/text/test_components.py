"""Components are those of a graph searched node by node, from files of any number."""

import random
from pathlib import Path

import numpy as np
import pytest

from gpt_core.text import components
from gpt_core.text.components import connect, find_components, find_roots


def searched(edges: list[tuple[int, int]]) -> dict[int, int]:
    """The smallest node of each node's component, by a search from every node in order."""
    neighbours: dict[int, set[int]] = {}
    for one, other in edges:
        neighbours.setdefault(one, set()).add(other)
        neighbours.setdefault(other, set()).add(one)
    found: dict[int, int] = {}
    for first in sorted(neighbours):
        waiting = [first]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found[node] = first
                waiting += neighbours[node]
    return found


@pytest.mark.parametrize("dtype", ["<u4", "<i8"])
def test_components_of_random_graphs(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(components, "_CHUNK", 7)
    scale = 10**6 if dtype == "<u4" else 10**12  # far apart: memory is that of the pairs alone
    for n_edges in (1, 20, 60, 200):
        edges = [
            (scale * random.randrange(120), scale * random.randrange(120)) for _ in range(n_edges)
        ]
        files = [tmp_path / str(number) for number in range(3)]
        for number, file in enumerate(files):
            np.array(edges[number::3], dtype).reshape(-1, 2).tofile(file)
        found = find_components(files, np.dtype(dtype))
        assert dict(found.tolist()) == searched(edges)
        assert found[:, 0].tolist() == sorted(set(np.array(edges).ravel().tolist()))
        found.tofile(tmp_path / "found")
        nodes = np.arange(130)[::-1].astype(dtype) * scale
        roots = find_roots(tmp_path / "found", nodes).tolist()
        expected = searched(edges)
        assert roots == [expected.get(node, node) for node in nodes.tolist()]


def test_a_long_chain_is_one_component_in_any_order() -> None:
    order = np.random.default_rng(1).permutation(10_000)
    roots = np.arange(10_000)
    connect(roots, order[1:], order[:-1])
    assert not roots.any()


def test_no_pairs_have_no_components(tmp_path: Path) -> None:
    (tmp_path / "pairs").touch()
    found = find_components([tmp_path / "pairs"], np.dtype("<u4"))
    assert found.shape == (0, 2)
    found.tofile(tmp_path / "found")
    assert find_roots(tmp_path / "found", np.array([3], "<u4")).tolist() == [3]
