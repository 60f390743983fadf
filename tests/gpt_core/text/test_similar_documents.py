"""The groups of a corpus are those of the exact comparison, however its parts are cut."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gpt_core.engine import Engine, LocalEngine, run_serially
from gpt_core.finished_parts import PartStore
from gpt_core.text import signature_files, similar_documents
from gpt_core.text.minhash import Signature, Signer, band_rows
from gpt_core.text.near_duplicates import group_near_duplicates
from gpt_core.text.signature_files import (
    SignatureFiles,
    SignatureTable,
    write_bands,
    write_signature,
)
from gpt_core.text.similar_documents import BandRange, find_similar, group_documents


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


def written(
    signatures: Sequence[Signature], n_parts: int, folder: Path, threshold: float = 0.8
) -> list[SignatureFiles]:
    """The files of some parts, of which the second is empty."""
    parts = []
    ends = [len(signatures) * number // n_parts for number in range(n_parts + 1)]
    ends.insert(1, ends[1])
    for number, (start, stop) in enumerate(pairwise(ends)):
        parts.append(SignatureFiles(folder / f"signed-{number}"))
        parts[-1].folder.mkdir(parents=True)
        with parts[-1].signatures.open("wb") as file:
            for signature in signatures[start:stop]:
                write_signature(file, signature)
        write_bands(parts[-1], band_rows(threshold))
    return parts


def grouped(
    signatures: Sequence[Signature],
    n_parts: int,
    folder: Path,
    range_documents: int = 1 << 20,
    engine: Engine = run_serially,
) -> list[int]:
    """For each document the first of its group."""
    parts = written(signatures, n_parts, folder)
    store = PartStore(folder, kept=False)
    groups = group_documents(parts, 0.8, store, engine, None, range_documents)
    firsts = list(range(len(signatures)))
    for number, first in groups.tolist():
        firsts[number] = first
    return firsts


def test_groups_are_those_of_the_exact_join_for_any_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, signer = edited_texts(), Signer()
    signatures = [signer.sign(text) for text in texts]
    groups = grouped(signatures, 1, tmp_path / "1")
    assert groups == group_near_duplicates(texts, 0.8)
    assert len(set(groups)) < len(texts)
    monkeypatch.setattr(signature_files, "_RUN", 9)
    monkeypatch.setattr(similar_documents, "_CHUNK", 5)
    for n_parts, range_documents in [(2, 1 << 20), (4, 50), (7, 7)]:
        folder = tmp_path / str(n_parts)
        assert grouped(signatures, n_parts, folder, range_documents) == groups


def test_a_group_is_joined_through_its_members_and_named_by_the_first(tmp_path: Path) -> None:
    base = np.arange(256, dtype=np.uint32)
    near, nearer = base.copy(), base.copy()
    near[:40] += 1000  # 84 % of base's numbers
    nearer[:80] += 1000  # 69 % of base's, 84 % of those of near
    far = base + np.uint32(5000)
    assert grouped([far, base, nearer, near], 1, tmp_path / "1") == [0, 1, 1, 1]
    assert grouped([base, nearer], 1, tmp_path / "2") == [0, 1]


def test_thousands_of_equal_signatures_take_no_quadratic_time(tmp_path: Path) -> None:
    signature = np.arange(256, dtype=np.uint32)
    assert set(grouped([signature] * 3000, 2, tmp_path)) == {0}


@pytest.mark.parametrize("n_parts", [1, 2])
def test_no_documents_have_no_groups(tmp_path: Path, n_parts: int) -> None:
    assert grouped([], n_parts, tmp_path) == []


def test_workers_join_the_groups_of_one_process(tmp_path: Path) -> None:
    texts, signer = edited_texts(), Signer()
    signatures = [signer.sign(text) for text in texts]
    alone = grouped(signatures, 2, tmp_path / "alone")
    with LocalEngine(2) as engine:
        assert grouped(signatures, 3, tmp_path / "workers", 40, engine) == alone


def test_a_range_has_its_hashes_and_no_pair_that_is_known(tmp_path: Path) -> None:
    signature = np.arange(256, dtype=np.uint32)
    rng = np.random.default_rng(2)
    others = [rng.integers(0, 1 << 32, 256, dtype=np.uint32) for _ in range(300)]
    parts = written([signature, *others, signature], 3, tmp_path)
    table = SignatureTable(parts)
    half = 1 << 63
    low, high = (table.read_band(3, 32, start, start + half)[0] for start in (0, half))
    assert sorted([*low.tolist(), *high.tolist()]) == list(range(302))
    assert 100 < len(low) < 200, "ranges of equal width are equally full"
    every = BandRange(tuple(parts), 0.8, 3, 0, 2 * half, None, tmp_path)
    assert find_similar(every) == 1
    assert np.fromfile(every.pairs, table.dtype).tolist() == [0, 301]
    np.array([[0, 0], [301, 0]], table.dtype).tofile(tmp_path / "groups")
    assert find_similar(replace(every, groups=tmp_path / "groups")) == 0
