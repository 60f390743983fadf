"""Batches in a shuffled order that is a pure function of (seed, epoch, index).

The order is a keyed permutation, computed on demand and never stored, so the state of a loader is
one integer and the global order is the same for any number of ranks.

Shapes: B batch, T context length.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from gpt_core.artifact import fingerprint_of
from gpt_core.config import IGNORED, LoaderConfig
from gpt_core.data.shards import ShardReader
from gpt_core.data.windows import SlidingWindowDataset
from gpt_core.errors import CheckpointError

_ROUNDS = 6
_CHUNK = 4096  # positions permuted at a time


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of samples."""

    token_ids: Tensor
    """Shape (B, T), int64."""

    targets: Tensor
    """Next-token ids, shape (B, T), int64; ``IGNORED`` is excluded from the loss."""


@dataclass(frozen=True, slots=True)
class LoaderState:
    """State of a ``TokenLoader``, for checkpoints."""

    position: int
    """Number of samples that all ranks together have taken."""

    fingerprint: str
    """Hash of the data, the windows and the order, for which the position is valid."""


def permute(indices: np.ndarray, n: int, seed: int, epoch: int) -> np.ndarray:
    """Permute indices by a keyed permutation of ``range(n)``.

    A Feistel network over the two digits of ``(index // r, index % r)``, with r about √n: each
    round adds a keyed hash of one digit to the other, which is invertible. The network permutes up
    to √n numbers more than n; results >= n are permuted again until they are below (cycle walking).

    Args:
        indices: Numbers in ``range(n)``, shape (B,).
        n: Size of the permuted range.
        seed: First half of the key.
        epoch: Second half of the key.

    Returns:
        Numbers in ``range(n)``, shape (B,).

    References:
        Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains", section 5.

    Example:
        >>> sorted(permute(np.arange(5), 5, seed=1, epoch=0).tolist())
        [0, 1, 2, 3, 4]
    """
    high = math.isqrt(n - 1) + 1
    radices = np.uint64(high), np.uint64(-(-n // high))
    keys = np.random.SeedSequence([seed, epoch]).generate_state(_ROUNDS, np.uint64)
    out = _permute_pairs(indices.astype(np.uint64), radices, keys)
    while (outside := np.flatnonzero(out >= n)).size:
        out[outside] = _permute_pairs(out[outside], radices, keys)
    return out.astype(np.int64)


class TokenLoader:
    """An endless stream of batches; batches may span two epochs.

    Args:
        reader: The token shards of one split.
        context_length: T, in tokens.
        batch_size: B, samples per rank.
        config: Stride, shuffling and seed.
        position: Number of samples to skip.
        rank: Index of this rank.
        world_size: Number of ranks that each global batch is divided among.

    Raises:
        DataError: If the split has fewer than T + 1 tokens.
    """

    def __init__(
        self,
        reader: ShardReader,
        *,
        context_length: int,
        batch_size: int,
        config: LoaderConfig,
        position: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._windows = SlidingWindowDataset(reader, context_length, config.stride)
        self._batch_size, self._rank, self._world_size = batch_size, rank, world_size
        self._shuffle, self._seed = config.shuffle, config.seed
        self._chunk_start, self._chunk = 0, np.empty(0, np.int64)
        self.position = position
        self.fingerprint = fingerprint_of(
            reader.fingerprint, context_length, self._windows.stride, config.shuffle, config.seed
        )

    @property
    def n_samples(self) -> int:
        """Number of samples in one epoch."""
        return self._windows.n_samples

    @property
    def epoch(self) -> float:
        """Number of epochs so far, with the fraction of the current one."""
        return self.position / self.n_samples

    def next_batch(self) -> Batch:
        """Return this rank's samples of the next global batch."""
        first = self.position + self._rank * self._batch_size
        windows = self._windows.gather(self._samples(first, self._batch_size))  # (B, T + 1)
        self.position += self._batch_size * self._world_size
        token_ids, targets = windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)
        return Batch(torch.from_numpy(token_ids), torch.from_numpy(targets))

    def state(self) -> LoaderState:
        """State for ``restore``."""
        return LoaderState(self.position, self.fingerprint)

    def restore(self, state: LoaderState) -> None:
        """Continue from a saved state.

        Raises:
            CheckpointError: If the state belongs to other data or another order.
        """
        if state.fingerprint != self.fingerprint:
            raise CheckpointError(
                "the saved position belongs to other shards, another context length, stride or "
                "seed: resume with the same data and settings or start in another directory"
            )
        self.position = state.position

    def _samples(self, first: int, count: int) -> np.ndarray:
        """Sample numbers at ``count`` consecutive positions from ``first`` on."""
        start = first - self._chunk_start
        if start < 0 or start + count > len(self._chunk):
            self._chunk_start, start = first, 0
            self._chunk = self._order(first, max(count, _CHUNK))
        return self._chunk[start : start + count]

    def _order(self, first: int, count: int) -> np.ndarray:
        positions = np.arange(first, first + count, dtype=np.int64)
        epochs, indices = np.divmod(positions, self.n_samples)
        if not self._shuffle:
            return indices
        for epoch in np.unique(epochs):
            here = epochs == epoch
            indices[here] = permute(indices[here], self.n_samples, self._seed, int(epoch))
        return indices


def sequential_batches(
    reader: ShardReader, context_length: int, batch_size: int, max_tokens: int | None = None
) -> Iterator[Batch]:
    """Stream batches in order without overlap, with every token of a split once as a target.

    Args:
        reader: The token shards of one split.
        context_length: T, in tokens.
        batch_size: B, in samples.
        max_tokens: Largest number of targets; None for all.

    Yields:
        Batches; missing targets of the last row are ``IGNORED``.
    """
    n_targets = reader.n_tokens - 1
    if max_tokens is not None:
        n_targets = min(n_targets, max_tokens)
    span = batch_size * context_length
    for start in range(0, n_targets, span):
        wanted = min(span, n_targets - start)
        rows = -(-wanted // context_length)
        token_ids = np.full(rows * context_length, reader.eos_id, np.int64)
        targets = np.full(rows * context_length, IGNORED, np.int64)
        ids = reader.read(start, wanted + 1)
        token_ids[:wanted], targets[:wanted] = ids[:-1], ids[1:]
        shape = (rows, context_length)
        yield Batch(torch.from_numpy(token_ids).view(shape), torch.from_numpy(targets).view(shape))


def rows_of_rank(batch: Batch, rank: int, size: int) -> Batch:
    """Take a rank's rows of a batch, padded so that every rank gets the same number of rows.

    Args:
        batch: Ids and targets, shape (B, T).
        rank: Index of the rank.
        size: Number of ranks.

    Returns:
        Ids and targets, shape (ceil(B / size), T); targets of padding are ``IGNORED``.
    """
    rows = -(-batch.token_ids.size(0) // size)
    missing = (0, 0, 0, rows * size - batch.token_ids.size(0))
    mine = slice(rank * rows, (rank + 1) * rows)
    return Batch(
        pad(batch.token_ids, missing)[mine], pad(batch.targets, missing, value=IGNORED)[mine]
    )


def _permute_pairs(
    numbers: np.ndarray, radices: tuple[np.uint64, np.uint64], keys: np.ndarray
) -> np.ndarray:
    """Permute numbers below the product of the radices by a Feistel network."""
    digits = list(np.divmod(numbers, radices[1]))
    for number, key in enumerate(keys):
        here, other = number % 2, 1 - number % 2
        digits[here] = (digits[here] + _hash(digits[other] + key)) % radices[here]
    permuted: np.ndarray = digits[0] * radices[1] + digits[1]
    return permuted


def _hash(numbers: np.ndarray) -> np.ndarray:
    """Hash 64-bit numbers to 32 bits: the upper half of SplitMix64's finalizer."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: np.ndarray = (numbers ^ (numbers >> np.uint64(31))) >> np.uint64(32)
    return hashed
