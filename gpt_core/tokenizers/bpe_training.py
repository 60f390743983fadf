"""Train byte-level BPE in plain Python, as fast as compiled trainers.

The textbook algorithm counts all adjacent pairs, merges the most frequent one and counts again.
Four observations make it fast:

1. Merges stay inside pieces, so each distinct piece is stored once, with its count.
2. A merge changes only the counts of the pairs to its left and right.
3. All occurrences of a pair are created by one merge (the one that makes its newer token), and
   later merges only remove occurrences. So the index of occurrences is written once; an entry that
   is outdated is skipped when it is read.
4. Counts of pairs in the queue only decrease, so an outdated entry is requeued when it is reached.

Ties go to the smaller pair of ids, as in Hugging Face's trainer: the merges of both are equal.

References:
    Gage 1994, "A New Algorithm for Data Compression"; Sennrich et al. 2016, section 3.2.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush, heapreplace

import numpy as np
import numpy.typing as npt

from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress
from gpt_core.tokenizers.base import require_encodable
from gpt_core.tokenizers.bpe import N_BYTES, BPETokenizer, Pair, byte_ids
from gpt_core.tokenizers.split_patterns import split_pattern

_EDGE = -1  # separates pieces
_GONE = -2  # replaces a token that was merged into the one before it
_REPORT_EVERY = 500  # merges

_Array = npt.NDArray[np.int64]
_Places = dict[int, list[int]]


def train_bpe(
    texts: Iterable[str], vocab_size: int, pattern: str, *, progress: Progress | None = None
) -> BPETokenizer:
    """Train a byte-level BPE tokenizer on texts, which are read once, see ``train_bpe_on_counts``.

    Raises:
        ConfigError: If the pattern cannot be used or the vocabulary is smaller than 257.
        DataError: If the texts have too few pairs for that many merges.
    """
    _require_size(vocab_size)
    return train_bpe_on_counts(
        split_pattern(pattern).count(texts), vocab_size, pattern, progress=progress
    )


def train_bpe_on_counts(
    pieces: Mapping[str, int], vocab_size: int, pattern: str, *, progress: Progress | None = None
) -> BPETokenizer:
    """Train a byte-level BPE tokenizer.

    Args:
        pieces: Counts of the pieces into which the pattern cuts the training documents, in any
            order.
        vocab_size: Number of tokens: 256 bytes, the merges and the end-of-document token.
        pattern: ``gpt2``, ``gpt4``, ``marks`` or a regular expression.
        progress: Called with ``merges``.

    Returns:
        The tokenizer.

    Raises:
        ConfigError: If the pattern cannot be used or the vocabulary is smaller than 257.
        DataError: If the texts have too few pairs for that many merges.
    """
    n_merges = _require_size(vocab_size)
    merges = learn_merges(_byte_pieces(pieces), n_merges, progress=progress)
    if len(merges) < n_merges:
        largest = N_BYTES + len(merges) + 1
        raise DataError(
            f"the training text supports a vocabulary of at most {largest}, tokenizer.vocab_size "
            f"is {vocab_size}: set it lower, give more text or another tokenizer.pattern"
        )
    return BPETokenizer(merges, pattern)


def _require_size(vocab_size: int) -> int:
    """The number of merges of a vocabulary."""
    if vocab_size <= N_BYTES:
        raise ConfigError(
            f"tokenizer.vocab_size must be at least {N_BYTES + 1} for byte-level BPE, which needs "
            f"every byte and the end of a document, got {vocab_size}"
        )
    return vocab_size - N_BYTES - 1


def learn_merges(
    pieces: Mapping[bytes, int], n_merges: int, *, progress: Progress | None = None
) -> list[Pair]:
    """Learn the pairs to merge, in order.

    Args:
        pieces: Counts of the distinct pieces, each written as its byte ids.
        n_merges: Number of merges to learn; fewer are returned if no pair is left.
        progress: Called with ``merges``.

    Example:
        >>> learn_merges({bytes([1, 2, 3]): 5, bytes([2, 3]): 1}, 9)
        [(2, 3), (1, 256)]
    """
    chain = _Chain(pieces, n_merges)
    merges: list[Pair] = []
    while len(merges) < n_merges and (pair := chain.most_frequent()) is not None:
        chain.merge(pair, N_BYTES + len(merges))
        merges.append(pair)
        if progress is not None and len(merges) % _REPORT_EVERY == 0:
            progress("merges", len(merges), n_merges)
    return merges


class _Chain:
    """All distinct pieces as one doubly linked list of tokens, with counts and places of pairs.

    A pair is one integer, ``first << bits | second``, and an entry of the queue is
    ``-count << 2 * bits | pair``, which sorts by decreasing count, then by increasing pair.

    Args:
        pieces: Counts of the distinct pieces, each written as its byte ids.
        n_merges: The largest number of merges that will be made.
    """

    def __init__(self, pieces: Mapping[bytes, int], n_merges: int) -> None:
        self._bits = (N_BYTES + n_merges).bit_length()
        tokens, weights = _lay_out(pieces)
        self._counts, self._places = _index_pairs(tokens, weights, self._bits)
        self._queue = [(-n << 2 * self._bits) | pair for pair, n in self._counts.items()]
        heapify(self._queue)
        self._tokens: list[int] = tokens.tolist()
        self._weights: list[int] = weights.tolist()
        self._next = list(range(1, len(tokens) + 1))
        self._previous = list(range(-1, len(tokens) - 1))

    def most_frequent(self) -> Pair | None:
        """Take the most frequent pair from the queue; None if no pair is left."""
        queue, counts, shift = self._queue, self._counts, 2 * self._bits
        while queue:
            pair = queue[0] & ((1 << shift) - 1)
            count = counts[pair]
            if count == -(queue[0] >> shift):
                heappop(queue)
                return pair >> self._bits, pair & ((1 << self._bits) - 1)
            if count > 0:
                heapreplace(queue, (-count << shift) | pair)
            else:
                heappop(queue)
        return None

    def merge(self, pair: Pair, merged: int) -> None:
        """Merge a pair at all its places and update the counts of the adjacent pairs."""
        first, second = pair
        bits, counts, weight_at = self._bits, self._counts, self._weights.__getitem__
        before, after = self._join(first, second, merged)
        born = []
        # ``after`` goes first: where two merged tokens are adjacent, the left one counts the pair
        # (merged, first), and the right one, in ``before``, subtracts it again.
        for other, places in after.items():
            key, weight = merged << bits | other, sum(map(weight_at, places))
            counts[second << bits | other] -= weight
            counts[key], self._places[key] = weight, places
            born.append(key)
        for other, places in before.items():
            key, weight = other << bits | merged, sum(map(weight_at, places))
            counts[other << bits | first] -= weight
            counts[key], self._places[key] = weight, places
            born.append(key)
        for key in born:
            if counts[key] > 0:
                heappush(self._queue, (-counts[key] << 2 * bits) | key)

    def _join(self, first: int, second: int, merged: int) -> tuple[_Places, _Places]:
        """Merge a pair at all its places, from left to right.

        Returns:
            By token found before (and after) the merged ones: the places, ascending, where the new
            pairs begin.
        """
        tokens, following, previous = self._tokens, self._next, self._previous
        before: _Places = defaultdict(list)
        after: _Places = defaultdict(list)
        for place in self._places.pop(first << self._bits | second):
            joined = following[place]
            if tokens[place] != first or tokens[joined] != second:
                continue  # an earlier merge removed this occurrence
            left, right = previous[place], following[joined]
            tokens[place], tokens[joined] = merged, _GONE
            following[place], previous[right] = right, place
            if tokens[left] != _EDGE:
                before[tokens[left]].append(left)
            if tokens[right] != _EDGE:
                after[tokens[right]].append(place)
        return before, after


def _byte_pieces(pieces: Mapping[str, int]) -> dict[bytes, int]:
    """Write pieces as their byte ids, without pieces of one byte, which have no pair."""
    table = byte_ids()
    encoded = ((require_encodable(piece).translate(table), n) for piece, n in pieces.items())
    return {ids: n for ids, n in encoded if len(ids) > 1}


def _lay_out(pieces: Mapping[bytes, int]) -> tuple[_Array, _Array]:
    """Concatenate the pieces, separated by ``_EDGE``; also return each token's piece count."""
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    counts = np.fromiter(pieces.values(), np.int64, len(pieces))
    piece_of = np.repeat(np.arange(len(pieces)), lengths)
    place = np.arange(len(piece_of)) + piece_of + 1
    tokens = np.full(len(piece_of) + len(pieces) + 1, _EDGE, np.int64)
    weights = np.zeros_like(tokens)
    tokens[place] = np.frombuffer(b"".join(pieces), np.uint8)
    weights[place] = counts[piece_of]
    return tokens, weights


def _index_pairs(tokens: _Array, weights: _Array, bits: int) -> tuple[dict[int, int], _Places]:
    """The count and the ascending places of each pair."""
    places = np.flatnonzero((tokens[:-1] != _EDGE) & (tokens[1:] != _EDGE))
    pairs = tokens[places] << bits | tokens[places + 1]
    order = np.argsort(pairs, kind="stable")
    places = places[order]
    keys, starts = np.unique(pairs[order], return_index=True)
    counts = [int(part.sum()) for part in np.split(weights[places], starts[1:])]
    index = [part.tolist() for part in np.split(places, starts[1:])]
    names = keys.tolist()
    return dict(zip(names, counts, strict=False)), dict(zip(names, index, strict=False))
