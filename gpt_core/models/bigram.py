"""The simplest language model, as a module to train and as a baseline fit by counting.

Shapes: B batch, T time, V vocabulary.
"""

from collections.abc import Iterable

import numpy as np
from torch import Tensor, nn

from gpt_core.config import BigramConfig


class BigramLanguageModel(nn.Module):
    """A table of logits, one row for each token: what comes next depends on this token alone."""

    def __init__(self, config: BigramConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.vocab_size, config.vocab_size)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Look up the logits of the next token: (B, T) to (B, T, V)."""
        logits: Tensor = self.table(token_ids)
        return logits


class CountedBigram:
    """The bigram that counting gives, smoothed so that no pair is impossible.

    ``p(b | a) = (n(a, b) + d(a) × p(b)) / (n(a) + d(a))`` where ``d(a)`` is the number of
    different tokens seen after ``a`` and ``p(b) = (n(b) + 1) / (n + V)``: the more varied what
    followed, the more weight the unigram gets.

    Args:
        pairs: Sorted keys ``a × V + b`` of the pairs seen.
        counts: How often each pair was seen.
        unigram: ``p(b)``, shape (V,).

    References:
        Witten and Bell 1991, "The Zero-Frequency Problem", method C.
    """

    def __init__(self, pairs: np.ndarray, counts: np.ndarray, unigram: np.ndarray) -> None:
        vocab_size = len(unigram)
        first = pairs // vocab_size
        self.pairs, self.counts, self.unigram = pairs, counts, unigram
        self.followers = np.bincount(first, minlength=vocab_size).astype(np.float64)  # d(a)
        self.total = np.bincount(first, weights=counts, minlength=vocab_size)  # n(a)

    def probability(self, token_ids: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """``p(target | token)`` for each pair of ids, in the shape of ``targets``."""
        token_ids, targets = token_ids.astype(np.int64), targets.astype(np.int64)
        keys = token_ids * len(self.unigram) + targets
        found = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)
        count = np.where(self.pairs[found] == keys, self.counts[found], 0)
        weight = np.maximum(self.followers[token_ids], 1)  # an unseen token backs off wholly
        smoothed = count + weight * self.unigram[targets]
        return np.asarray(smoothed / (self.total[token_ids] + weight))

    def loss(self, token_ids: np.ndarray, targets: np.ndarray) -> float:
        """Mean negative log-probability of the targets, in nats; negative targets do not count."""
        counted = targets >= 0
        return float(-np.log(self.probability(token_ids[counted], targets[counted])).mean())


def fit_bigram(chunks: Iterable[np.ndarray], vocab_size: int) -> CountedBigram:
    """Count the pairs of neighbours in a text that is read in chunks.

    Memory grows with the number of different pairs, not with the text or the vocabulary squared.

    Args:
        chunks: Consecutive pieces of token ids, each of shape (n,); a pair that straddles two
            chunks counts too.
        vocab_size: V.

    Returns:
        The smoothed bigram.
    """
    pairs, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    unigram = np.ones(vocab_size, np.float64)
    last = np.empty(0, np.int64)
    for chunk in chunks:
        token_ids = np.concatenate([last, chunk.astype(np.int64)])
        unigram += np.bincount(token_ids[len(last) :], minlength=vocab_size)
        new, new_counts = np.unique(token_ids[:-1] * vocab_size + token_ids[1:], return_counts=True)
        merged, where = np.unique(np.concatenate([pairs, new]), return_inverse=True)
        sums = np.bincount(where, weights=np.concatenate([counts, new_counts]))
        pairs, counts, last = merged, sums.astype(np.int64), token_ids[-1:]
    return CountedBigram(pairs, counts, unigram / unigram.sum())
