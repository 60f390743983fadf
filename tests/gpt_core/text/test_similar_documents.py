"""The groups of a corpus are those of the exact comparison, however its parts are cut."""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gpt_core.text.minhash import Signature, Signer
from gpt_core.text.near_duplicates import group_near_duplicates
from gpt_core.text.similar_documents import group_documents, write_signature


def edited_texts(n: int = 50) -> list[str]:
    """Texts of which many are edits of another: hardly, or nearly everywhere."""
    made = [
        [f"w{random.randrange(3000)}" for _ in range(random.randint(40, 160))] for _ in range(n)
    ]
    for words in random.sample(made, n // 2):
        other = list(words)
        n_edits = len(other) // 60 if random.random() < 0.7 else len(other) // 4
        for place in random.sample(range(len(other)), n_edits):
            other[place] = f"x{random.randrange(3000)}"
        made.append(other)
    random.shuffle(made)
    return [" ".join(words) for words in made]


def grouped(
    signatures: Sequence[Signature], n_parts: int, folder: Path, threshold: float = 0.8,
    most_hashes: int = 1 << 20,
) -> list[int]:  # fmt: skip
    """The groups of documents of some parts, of which the second is empty."""
    files = []
    ends = [len(signatures) * number // n_parts for number in range(n_parts + 1)]
    ends.insert(1, ends[1])
    for number, (start, stop) in enumerate(pairwise(ends)):
        files.append(folder / f"part-{number}")
        with files[-1].open("wb") as file:
            for signature in signatures[start:stop]:
                write_signature(file, signature)
    return group_documents(files, threshold, folder, most_hashes).tolist()


def test_groups_are_those_of_the_exact_join_for_any_parts(tmp_path: Path) -> None:
    texts, signer = edited_texts(), Signer()
    signatures = [signer.sign(text) for text in texts]
    groups = grouped(signatures, 1, tmp_path)
    assert groups == group_near_duplicates(texts, 0.8)
    assert len(set(groups)) < len(texts)
    for n_parts, most_hashes in [(2, 1 << 20), (4, 50), (7, 7)]:
        assert grouped(signatures, n_parts, tmp_path, most_hashes=most_hashes) == groups
    assert not list(tmp_path.glob("band-*"))


def test_a_group_is_joined_through_its_members_and_named_by_the_first(tmp_path: Path) -> None:
    base = np.arange(256, dtype=np.uint32)
    near, nearer = base.copy(), base.copy()
    near[:40] += 1000  # 84 % of base's numbers
    nearer[:80] += 1000  # 69 % of base's, 84 % of those of near
    far = base + np.uint32(5000)
    assert grouped([far, base, nearer, near], 1, tmp_path) == [0, 1, 1, 1]
    assert grouped([base, nearer], 1, tmp_path) == [0, 1]


def test_thousands_of_equal_signatures_take_no_quadratic_time(tmp_path: Path) -> None:
    signature = np.arange(256, dtype=np.uint32)
    assert set(grouped([signature] * 3000, 2, tmp_path)) == {0}


@pytest.mark.parametrize("n_parts", [1, 2])
def test_no_documents_have_no_groups(tmp_path: Path, n_parts: int) -> None:
    assert grouped([], n_parts, tmp_path) == []
