"""Repeated texts are found over all parts, for any number of ranges, the first of each kept."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.text import duplicates
from gpt_core.text.duplicates import (
    find_repeated,
    hash_text,
    plan_ranges,
    read_repeated,
    write_hashes,
)


@given(
    st.lists(st.lists(st.sampled_from([b"", b"a", b"b", b"\xff\0", b"ab", b"c"])), min_size=1),
    st.integers(1, 30),
)
def test_every_text_but_the_first_of_its_kind_is_repeated(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[bytes]], n_texts: int
) -> None:
    folder = tmp_path_factory.mktemp("hashes")
    files = [folder / f"{number}.npy" for number in range(len(parts))]
    for file, texts in zip(files, parts, strict=True):
        write_hashes(file, b"".join(map(hash_text, texts)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_RANGE_TEXTS", 4)
        ranges = plan_ranges(files, n_texts, lambda n: folder / str(n))
    for each in ranges:
        each.folder.mkdir()
    assert len(ranges) == -(-n_texts // 4)
    seen: set[bytes] = set()
    expected = []
    for texts in parts:
        expected.append(set())
        for row, text in enumerate(texts):
            if text in seen:
                expected[-1].add(row)
            seen.add(text)
    assert sum(map(find_repeated, ranges)) == sum(map(len, expected))
    targets = [each.target for each in ranges]
    assert [read_repeated(targets, number) for number in range(len(parts))] == expected


def test_each_hash_belongs_to_one_range(tmp_path: Path) -> None:
    """The first and the last hash that there can be, and those at the ends of ranges."""
    ranges = plan_ranges(
        [tmp_path / "all.npy"], 3 * duplicates._RANGE_TEXTS, lambda n: tmp_path / str(n)
    )
    for each in ranges:
        each.folder.mkdir()
    ends = sorted({0, *(each.start for each in ranges), *(each.stop - 1 for each in ranges)})
    hashes = [number.to_bytes(8, "big") + bytes(8) for number in ends]
    write_hashes(tmp_path / "all.npy", b"".join([*hashes, *hashes]))
    assert sum(map(find_repeated, ranges)) == len(hashes) == 6
    found = read_repeated([each.target for each in ranges], 0)
    assert found == set(range(len(hashes), 2 * len(hashes)))
    assert np.load(ranges[1].target).shape == (2, 2)
