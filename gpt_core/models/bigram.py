"""The bigram language model: as a trainable module, and as a baseline fitted by counting.

Shapes: B batch, T time, V vocabulary.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor, nn

from gpt_core.config import BigramConfig
from gpt_core.errors import DataError

Counts = tuple[np.ndarray, np.ndarray]
"""Sorted keys of the pairs, and the count of each."""


class BigramLanguageModel(nn.Module):
    """A table of logits with one row per token: the next token depends on this token alone.

    ``p(b | a) = softmax(table[a])[b]``: V² parameters that gradient descent brings to the
    relative frequencies of the pairs, which ``fit_bigram`` finds by counting.

    Args:
        config: The vocabulary.

    References:
        Shannon 1948, "A Mathematical Theory of Communication", section 3 (the second-order
        approximation to English).
    """

    def __init__(self, config: BigramConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.vocab_size, config.vocab_size)
        nn.init.normal_(self.table.weight, std=0.02)  # nearly uniform: the initial loss is ln V

    def forward(self, token_ids: Tensor) -> Tensor:
        """Look up the logits of the next token.

        Args:
            token_ids: Shape (B, T).

        Returns:
            Logits, shape (B, T, V).
        """
        logits: Tensor = self.table(token_ids)
        return logits


class CountedBigram:
    """Bigram probabilities from counts, with Witten-Bell smoothing so that none is zero.

    ``p(b | a) = (n(a, b) + d(a) × p(b)) / (n(a) + d(a))`` where ``d(a)`` is the number of
    distinct tokens seen after ``a`` and ``p(b) = (n(b) + 1) / (n + V)``: the more varied the
    successors of ``a``, the more weight the unigram gets.

    Args:
        pairs: Sorted keys ``a × V + b`` of the observed pairs.
        counts: Count of each pair.
        unigram: ``p(b)``, shape (V,).

    References:
        Witten and Bell 1991, "The Zero-Frequency Problem", method C.
    """

    def __init__(self, pairs: np.ndarray, counts: np.ndarray, unigram: np.ndarray) -> None:
        vocab_size = len(unigram)
        first = pairs // vocab_size
        self.pairs, self.counts, self.unigram = pairs, counts, unigram
        self.n_successors = np.bincount(first, minlength=vocab_size).astype(np.float64)  # d(a)
        self.total = np.bincount(first, weights=counts, minlength=vocab_size)  # n(a)

    def probability(self, token_ids: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """``p(target | token)`` for each pair of ids.

        Args:
            token_ids: Ids, of arbitrary shape.
            targets: The same shape.

        Returns:
            Probabilities, the same shape; over all targets of a token they add up to 1.
        """
        token_ids, targets = token_ids.astype(np.int64), targets.astype(np.int64)
        keys = token_ids * len(self.unigram) + targets
        found = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)
        count = np.where(self.pairs[found] == keys, self.counts[found], 0)
        weight = np.maximum(self.n_successors[token_ids], 1)  # an unseen token: the unigram alone
        smoothed = count + weight * self.unigram[targets]
        return np.asarray(smoothed / (self.total[token_ids] + weight))

    def loss(self, token_ids: np.ndarray, targets: np.ndarray) -> float:
        """Mean negative log-probability of the targets.

        Args:
            token_ids: Ids, of arbitrary shape.
            targets: The same shape; negative ones are excluded.

        Returns:
            Nats per target.

        Raises:
            DataError: If all targets are excluded.
        """
        counted = targets >= 0
        if not counted.any():
            raise DataError("the bigram has no target to be measured on: give it more text")
        return float(-np.log(self.probability(token_ids[counted], targets[counted])).mean())


def fit_bigram(chunks: Iterable[np.ndarray], vocab_size: int) -> CountedBigram:
    """Fit a bigram model by counting pairs of consecutive tokens.

    Memory grows with the number of distinct pairs, not with the text or the vocabulary squared.

    Args:
        chunks: Consecutive chunks of token ids, each of shape (n,); pairs that span two chunks
            are counted as well.
        vocab_size: V.

    Returns:
        The smoothed model.

    Raises:
        DataError: If there are fewer than two tokens, or an id is outside the vocabulary.
    """
    unigram = np.ones(vocab_size, np.float64)
    last = np.empty(0, np.int64)
    counted: list[Counts] = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for chunk in chunks:
        token_ids = np.concatenate([last, chunk.astype(np.int64)])
        if token_ids.size and not 0 <= token_ids.min() <= token_ids.max() < vocab_size:
            outside = token_ids[(token_ids < 0) | (token_ids >= vocab_size)][0]
            raise DataError(f"token id {outside} is outside the vocabulary of {vocab_size}")
        unigram += np.bincount(token_ids[len(last) :], minlength=vocab_size)
        keys = token_ids[:-1] * vocab_size + token_ids[1:]
        counted.append(np.unique(keys, return_counts=True))
        if sum(len(pairs) for pairs, _ in counted[1:]) > len(counted[0][0]):
            counted = [_merge(counted)]  # rarely enough for O(n log n) in total
        last = token_ids[-1:]
    pairs, counts = _merge(counted)
    if pairs.size == 0:
        raise DataError("a bigram needs at least two tokens to count: give it more text")
    return CountedBigram(pairs, counts, unigram / unigram.sum())


def _merge(counted: Sequence[Counts]) -> Counts:
    """Add up the counts of several pieces of text."""
    keys = np.concatenate([pairs for pairs, _ in counted])
    pairs, where = np.unique(keys, return_inverse=True)
    sums = np.bincount(where, weights=np.concatenate([counts for _, counts in counted]))
    return pairs, sums.astype(np.int64)
