"""Prefetching changes neither the batches nor the state of a loader."""

import torch

from gpt_core.artifact import Artifact
from gpt_core.config import LoaderConfig
from gpt_core.data import Batch, ShardReader, TokenLoader
from gpt_core.training.prefetch import Prefetcher


def loader_of(shards: Artifact) -> TokenLoader:
    reader = ShardReader(shards.directory, "train")
    return TokenLoader(reader, context_length=32, batch_size=4, config=LoaderConfig())


def sent(batch: Batch) -> Batch:
    return Batch(batch.token_ids + 1, batch.targets)


def test_batches_states_and_epochs_are_the_loaders(shards: Artifact) -> None:
    plain, ahead = loader_of(shards), Prefetcher(loader_of(shards), sent)
    for _ in range(7):
        assert ahead.state() == plain.state()
        assert ahead.epoch == plain.epoch
        theirs, ours = plain.next_batch(), ahead.next_batch()
        assert torch.equal(ours.token_ids, theirs.token_ids + 1)
        assert torch.equal(ours.targets, theirs.targets)


def test_a_restored_prefetcher_continues_with_the_same_batches(shards: Artifact) -> None:
    ahead = Prefetcher(loader_of(shards), sent)
    for _ in range(3):
        ahead.next_batch()
    state = ahead.state()
    expected = [ahead.next_batch().targets for _ in range(3)]
    ahead.restore(state)
    assert ahead.state() == state
    found = [ahead.next_batch().targets for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    other = Prefetcher(loader_of(shards), sent)
    other.restore(state)
    assert torch.equal(other.next_batch().targets, expected[0])
