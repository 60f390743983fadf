"""Hashes of words and of n words in a row, as numpy arrays."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
"""Hashes of 64 bits, shape (N,)."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bit of an earlier word is lost
_MAX_KNOWN = 1 << 20  # words whose hashes are kept


class WordHasher(dict[str, int]):
    """A cache of the hash of each word."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        digest = blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest()
        self[word] = number = int.from_bytes(digest, "little")
        return number

    def hash_words(self, words: Sequence[str]) -> Hashes:
        """The hashes of words, in their order."""
        return np.fromiter(map(self.__getitem__, words), np.uint64, len(words))


def hash_ngrams(words: Hashes, n: int) -> Hashes:
    """The hash of every n words in a row.

    Args:
        words: The hashes of N words.
        n: Words in an n-gram.

    Returns:
        Shape (N - n + 1,); empty if there are fewer than n words.
    """
    count = max(0, len(words) - n + 1)
    hashes = np.zeros(count, np.uint64)
    for start in range(n):
        hashes *= _MULTIPLIER
        hashes += words[start : start + count]
    return hashes ^ (hashes >> np.uint64(32))
