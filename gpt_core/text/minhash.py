"""MinHash signatures: texts of any length as 256 numbers whose agreement is their similarity.

The fraction of numbers in which two signatures agree estimates the Jaccard similarity of the
texts' sets of word trigrams, by which ``near_duplicates`` compares texts too; its standard
deviation is at most 1 / 32.

References:
    Broder 1997, "On the resemblance and containment of documents"; Leskovec et al. 2020, "Mining
    of Massive Datasets", sections 3.3 and 3.4.
"""

import numpy as np
from numpy.typing import NDArray

from gpt_core.errors import ConfigError
from gpt_core.text.near_duplicates import SHINGLE_WORDS, words_of
from gpt_core.text.ngrams import WordHasher, hash_ngrams

N_HASHES = 256
"""Numbers of a signature."""

Signature = NDArray[np.uint32]
"""The signature of a text, shape (N_HASHES,)."""

_SEED = 1  # of the permutations; signatures of different seeds cannot be compared
_CHUNK = 2048  # trigrams whose permutations are in memory, 2 MiB
_RECALL = 0.99  # of pairs at the threshold, least probability to share a band


class Signer:
    """Computes signatures.

    Raises:
        ConfigError: If datasketch is not installed.
    """

    def __init__(self) -> None:
        try:
            from datasketch import MinHash
        except ImportError as error:
            raise ConfigError(
                "cleaning.near_duplicates needs datasketch: pip install 'gptflow[filters]'"
            ) from error
        self._empty = MinHash(N_HASHES, seed=_SEED, hashfunc=int, scheme="affine32")
        self._hasher = WordHasher()

    def sign(self, text: str) -> Signature:
        """The signature of a text; texts that differ in case and punctuation alone have the same.

        Example:
            >>> signer = Signer()
            >>> bool((signer.sign("So it is!") == signer.sign("so it is")).all())
            True
        """
        words = self._hasher.hash_words(words_of(text))
        trigrams = hash_ngrams(words, min(SHINGLE_WORDS, len(words))) >> np.uint64(32)
        sketch = self._empty.copy()
        for start in range(0, len(trigrams), _CHUNK):
            sketch.update_batch(trigrams[start : start + _CHUNK].tolist())
        found: Signature = sketch.hashvalues
        return found


def band_rows(threshold: float) -> int:
    """The numbers in a band: as many as leave a pair at the threshold a chance of 99 % to agree.

    Two signatures of similarity s agree in one of b bands of r numbers with probability
    ``1 - (1 - s**r)**b``. The more numbers in a band, the fewer pairs are compared for nothing.

    Example:
        >>> band_rows(0.8), band_rows(0.5)
        (8, 3)
    """
    fitting = (
        rows
        for rows in range(N_HASHES, 0, -1)
        if 1 - (1 - threshold**rows) ** (N_HASHES // rows) >= _RECALL
    )
    return min(next(fitting, 1), _MAX_ROWS)


_MAX_ROWS = 16


def hash_bands(signatures: NDArray[np.uint32], rows: int) -> NDArray[np.uint64]:
    """The hash of each band of each signature.

    Args:
        signatures: Shape (N, N_HASHES).
        rows: Numbers in a band.

    Returns:
        Shape (N, N_HASHES // rows).
    """
    count = N_HASHES // rows
    bands = signatures[:, : count * rows].reshape(len(signatures), count, rows)
    hashes = np.zeros((len(signatures), count), np.uint64)
    for row in range(rows):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += bands[:, :, row]
        hashes ^= hashes >> np.uint64(29)
    return hashes * np.uint64(0x9E3779B97F4A7C15)  # so that all bits vary: ranges are equally full
