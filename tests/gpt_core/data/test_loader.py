"""The order of samples is a pure function of seed, epoch and index."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.artifact import Artifact
from gpt_core.config import LoaderConfig
from gpt_core.data import (
    IGNORED,
    Batch,
    ShardReader,
    ShardWriter,
    TokenLoader,
    permute,
    rows_of_rank,
    sequential_batches,
)
from gpt_core.errors import CheckpointError, DataError


@pytest.fixture
def reader(tmp_path: Path) -> ShardReader:
    (tmp_path / "train").mkdir()
    file = tmp_path / "train" / "part-00000.parquet"
    with ShardWriter(file, vocab_size=70_000, eos_id=0, tokenizer_fingerprint="f") as writer:
        writer.write(np.arange(1000))
    return ShardReader(tmp_path, "train")


def loader_of(reader: ShardReader, **options: object) -> TokenLoader:
    settings = {"context_length": 8, "batch_size": 4, "config": LoaderConfig(seed=3), **options}
    return TokenLoader(reader, **settings)


@given(st.integers(1, 3000), st.integers(0, 2**32), st.integers(0, 100))
def test_the_order_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    assert sorted(permute(np.arange(n), n, seed, epoch).tolist()) == list(range(n))


def test_seed_and_epoch_change_the_order() -> None:
    orders = {tuple(permute(np.arange(50), 50, s, e)) for s in range(3) for e in range(3)}
    assert len(orders) == 9


def test_every_epoch_has_every_sample_once(reader: ShardReader) -> None:
    loader = loader_of(reader, batch_size=1)
    n = loader.n_samples
    assert n == (1000 - 9) // 8 + 1
    for _ in range(2):
        firsts = [int(loader.next_batch().token_ids[0, 0]) for _ in range(n)]
        assert sorted(firsts) == list(range(0, n * 8, 8))
    assert loader.epoch == 2.0


def test_targets_are_the_next_tokens(reader: ShardReader) -> None:
    batch = loader_of(reader).next_batch()
    assert batch.token_ids.shape == batch.targets.shape == (4, 8)
    assert torch.equal(batch.targets, batch.token_ids + 1)


@pytest.mark.parametrize("world_size", [2, 4])
def test_global_batches_do_not_depend_on_the_number_of_ranks(
    reader: ShardReader, world_size: int
) -> None:
    alone = loader_of(reader, batch_size=8)
    ranks = [
        loader_of(reader, batch_size=8 // world_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for _ in range(40):
        together = torch.cat([rank.next_batch().token_ids for rank in ranks])
        assert torch.equal(alone.next_batch().token_ids, together)


def test_each_rank_reads_its_own_samples_and_no_others(
    reader: ShardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    gather = reader.gather

    def gather_recorded(starts: np.ndarray, width: int) -> np.ndarray:
        assert width == 9, "no more than a window"
        read.extend(starts.tolist())
        return gather(starts, width)

    monkeypatch.setattr(reader, "gather", gather_recorded)
    monkeypatch.setattr(reader, "read", None)
    of_ranks = []
    for rank in range(4):
        loader = loader_of(reader, batch_size=1, rank=rank, world_size=4)
        read.clear()
        for _ in range(loader.n_samples // 4):
            loader.next_batch()
        of_ranks.append({*read})
        assert len(read) == loader.n_samples // 4, "a quarter of an epoch"
    assert len(set.union(*of_ranks)) == sum(map(len, of_ranks)), "no sample is read twice"


@given(steps=st.integers(0, 80))
def test_a_restored_loader_continues_with_the_same_batches(shards: Artifact, steps: int) -> None:
    data = ShardReader(shards.directory, "train")
    whole, resumed = (loader_of(data, context_length=300) for _ in range(2))
    for _ in range(steps):
        whole.next_batch()
    resumed.restore(whole.state())
    assert torch.equal(whole.next_batch().token_ids, resumed.next_batch().token_ids)


def test_a_state_of_other_data_is_refused(reader: ShardReader) -> None:
    state = loader_of(reader).state()
    for other in (
        {"context_length": 9},
        {"config": LoaderConfig(seed=4)},
        {"config": LoaderConfig(seed=3, shuffle=False)},
        {"config": LoaderConfig(seed=3, stride=4)},
    ):
        with pytest.raises(CheckpointError, match="the saved position belongs to other shards"):
            loader_of(reader, **other).restore(state)
    with pytest.raises(CheckpointError, match="the saved position belongs"):
        loader_of(reader).restore(replace(state, fingerprint="x"))


def test_a_split_shorter_than_a_sample_raises_a_one_line_error(reader: ShardReader) -> None:
    with pytest.raises(DataError, match="has 1000 tokens, one sample needs 1001"):
        loader_of(reader, context_length=1000)


def test_windows_span_row_groups_and_files(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for number in range(3):
        file = tmp_path / "train" / f"part-{number:05d}.parquet"
        with ShardWriter(file, vocab_size=300, eos_id=0, tokenizer_fingerprint="f") as writer:
            writer.write(np.arange(100) + 100 * number)
    data = ShardReader(tmp_path, "train")
    loader = TokenLoader(
        data, context_length=32, batch_size=5, config=LoaderConfig(stride=7, shuffle=False)
    )
    batch = loader.next_batch()
    assert batch.token_ids[:, 0].tolist() == [0, 7, 14, 21, 28]
    for _ in range(20):
        batch = loader.next_batch()
        assert torch.equal(batch.targets, batch.token_ids + 1)


@pytest.mark.parametrize("max_tokens", [None, 1, 50, 64, 65, 5000])
def test_sequential_batches_have_every_target_once(
    reader: ShardReader, max_tokens: int | None
) -> None:
    batches = list(sequential_batches(reader, 8, 4, max_tokens))
    targets = torch.cat([batch.targets.flatten() for batch in batches])
    counted = targets[targets != IGNORED]
    assert counted.tolist() == list(range(1, 1 + min(999, max_tokens or 999)))
    ids = torch.cat([batch.token_ids.flatten() for batch in batches])[: len(counted)]
    assert torch.equal(ids + 1, counted)


@pytest.mark.parametrize(("size", "rows"), [(1, 5), (2, 3), (3, 2), (5, 1), (7, 1)])
def test_every_rank_has_equally_many_rows_and_padding_is_ignored(size: int, rows: int) -> None:
    batch = Batch(torch.arange(10).view(5, 2), torch.arange(10, 20).view(5, 2))
    parts = [rows_of_rank(batch, rank, size) for rank in range(size)]
    assert all(part.token_ids.shape == part.targets.shape == (rows, 2) for part in parts)
    token_ids = torch.cat([part.token_ids for part in parts])
    targets = torch.cat([part.targets for part in parts])
    assert torch.equal(token_ids[:5], batch.token_ids)
    assert torch.equal(targets[:5], batch.targets)
    assert (targets[5:] == IGNORED).all()
