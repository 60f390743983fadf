"""Find near duplicates: texts whose sets of three words in a row overlap.

The similarity of two texts is the Jaccard similarity of their sets of word trigrams. Only pairs
that can reach the threshold are compared: of each text the rarest trigrams are indexed, as many as
two similar texts must share one of (prefix filtering), so that unlike MinHash it misses no pair.
Of a group that has been found, only the first members that share such a trigram are compared with
another text: 70,000 short texts take seconds, and two groups stay apart only if each is beyond the
first members of the other.

References:
    Chaudhuri et al. 2006, "A Primitive Operator for Similarity Joins in Data Cleaning";
    Bayardo et al. 2007, "Scaling Up All Pairs Similarity Search".
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

SHINGLE_WORDS = 3
"""Words in a row that are compared as one."""

_WORDS_WITHOUT_NUMBERS = 8  # of which a text must have so many that its numbers do not matter
_MAX_MEMBERS = 32  # of a group that are compared with a text, so that templates take linear time
_SLACK = 1e-9  # for the rounding of products of thresholds
_HASH_BYTES = 8  # probability of any collision between two sets of 100,000 texts: 5e-10

# Scripts that put no spaces between words: each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


class _MarkTable(dict[int, int | None]):
    """Maps combining marks to nothing, other characters to themselves, as they are met."""

    def __missing__(self, code: int) -> int | None:
        self[code] = found = None if unicodedata.combining(chr(code)) else code
        return found


_MARKS = _MarkTable()

Shingles = frozenset[int]
"""The word trigrams of a text, each by its number."""


def words_of(text: str) -> tuple[str, ...]:
    """The words by which texts are compared, without case, marks and punctuation.

    Numbers are words only in texts of fewer than eight other words: in a long text a number is a
    detail, in a short one it may be what the text says.

    Example:
        >>> words_of("Free entry! Text 80082.")
        ('free', 'entry', 'text', '80082')
        >>> words_of("Urgent: you have won a prize, call 80082 or write now.")
        ('urgent', 'you', 'have', 'won', 'a', 'prize', 'call', 'or', 'write', 'now')
    """
    words = split_words(text)
    if any(map(str.isdigit, set().union(*words))):
        others = [word for word in words if not any(map(str.isdigit, word))]
        words = others if len(others) >= _WORDS_WITHOUT_NUMBERS else words
    return tuple(words) or (_without_marks(text).strip(),)


def split_words(text: str) -> list[str]:
    """All words of a text, numbers too, without case, marks and punctuation.

    Example:
        >>> split_words("Ça va? 2 fois")
        ['ca', 'va', '2', 'fois']
    """
    return _WORD.findall(_without_marks(text).casefold())


def _without_marks(text: str) -> str:
    """A text in compatibility form without accents, vowel signs and other combining marks."""
    return text if text.isascii() else unicodedata.normalize("NFKD", text).translate(_MARKS)


def shingles_of(texts: Iterable[str]) -> list[Shingles]:
    """The trigrams of each text's words; of one with fewer words all of them together."""
    numbers: dict[tuple[str, ...], int] = {}
    found = []
    for text in texts:
        words = words_of(text)
        n = min(SHINGLE_WORDS, len(words))
        trigrams = (words[i : i + n] for i in range(len(words) - n + 1))
        found.append(frozenset(numbers.setdefault(each, len(numbers)) for each in trigrams))
    return found


def jaccard(first: Shingles, second: Shingles) -> float:
    """The size of the intersection relative to that of the union."""
    common = len(first & second)
    return common / (len(first) + len(second) - common)


def group_near_duplicates(texts: Sequence[str], threshold: float) -> list[int]:
    """Group texts that are near duplicates of each other, directly or through others.

    Args:
        texts: The texts.
        threshold: Least Jaccard similarity of near duplicates, in (0, 1].

    Returns:
        For each text the index of the first text of its group.

    Example:
        >>> group_near_duplicates(["Call me at home.", "Well, so what?", "Call me at home!"], 0.5)
        [0, 1, 0]
    """
    shingles = shingles_of(texts)
    first: dict[Shingles, int] = {}
    roots = [first.setdefault(each, index) for index, each in enumerate(shingles)]
    # Short texts first, so that only the prefixes of shorter ones are looked up.
    order = sorted(first.values(), key=lambda i: (len(shingles[i]), i))
    index = _PrefixIndex(shingles, threshold)
    for i in order:
        for j in index.candidates(i, roots):
            if index.similar(i, j):
                low, high = sorted((_root(roots, i), _root(roots, j)))
                roots[high] = low
        index.add(i)
    return [_root(roots, i) for i in range(len(texts))]


def find_near_duplicates(
    texts: Sequence[str], others: Iterable[str], threshold: float
) -> list[bool]:
    """Whether each text is a near duplicate of any of the others.

    Args:
        texts: The texts to look for.
        others: The texts to look in.
        threshold: Least Jaccard similarity of near duplicates, in (0, 1].
    """
    held = list(others)
    shingles = shingles_of([*held, *texts])
    unique = dict.fromkeys(shingles[: len(held)])
    shingles = [*unique, *shingles[len(held) :]]
    index = _PrefixIndex(shingles, threshold)
    for j in range(len(unique)):
        index.add(j)
    return [
        shingles[i] in unique or any(index.similar(i, j) for j in index.candidates(i))
        for i in range(len(unique), len(shingles))
    ]


def merge_groups(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """The groups of texts that either of two groupings puts together.

    Args:
        one: For each text the index of the first text of its group.
        other: The same, by another rule.

    Example:
        >>> merge_groups([0, 0, 2, 3], [0, 1, 1, 3])
        [0, 0, 0, 3]
    """
    roots = list(one)
    for i, first in enumerate(other):
        low, high = sorted((_root(roots, i), _root(roots, first)))
        roots[high] = low
    return [_root(roots, i) for i in range(len(roots))]


def text_hash(text: str) -> int:
    """A hash of 64 bits, equal for texts that differ in case, marks and punctuation only."""
    words = " ".join(words_of(text)).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(words, digest_size=_HASH_BYTES).digest(), "little")


class _PrefixIndex:
    """An index of the rarest shingles of each text, enough to find every similar one.

    Two sets of similarity t share at least ``t * size`` shingles of either, so among the
    ``size - ceil(t * size) + 1`` rarest shingles of both there is a common one.

    Args:
        shingles: The sets of all texts.
        threshold: Least similarity.
    """

    def __init__(self, shingles: Sequence[Shingles], threshold: float) -> None:
        self._shingles, self._threshold = shingles, threshold
        self._counts = Counter(each for one in shingles for each in one)
        self._postings: dict[int, list[int]] = {}

    def candidates(self, i: int, roots: Sequence[int] | None = None) -> Iterator[int]:
        """The indexed texts that share a rare shingle with a text and can be similar to it.

        Args:
            i: The text.
            roots: Groups so far; of those in the text's own none is a candidate any more, and of
                another group only the first members are.
        """
        size, seen = len(self._shingles[i]), set[int]()
        members = Counter[int]()
        for shingle in self._prefix(i):
            for j in self._postings.get(shingle, ()):
                if j in seen:
                    continue
                seen.add(j)
                other = len(self._shingles[j])
                if min(size, other) < self._threshold * max(size, other) - _SLACK:
                    continue
                if roots is not None:
                    root = _root(roots, j)
                    members[root] += 1
                    if root == _root(roots, i) or members[root] > _MAX_MEMBERS:
                        continue
                yield j

    def similar(self, i: int, j: int) -> bool:
        """Whether two texts reach the threshold."""
        return jaccard(self._shingles[i], self._shingles[j]) >= self._threshold - _SLACK

    def add(self, i: int) -> None:
        """Index a text."""
        for shingle in self._prefix(i):
            self._postings.setdefault(shingle, []).append(i)

    def _prefix(self, i: int) -> list[int]:
        """A text's rarest shingles, by one order for all texts."""
        own = sorted(self._shingles[i], key=lambda each: (self._counts[each], each))
        return own[: len(own) - math.ceil(self._threshold * len(own) - _SLACK) + 1]


def _root(roots: Sequence[int], i: int) -> int:
    """The first text of a text's group."""
    while roots[i] != i:
        i = roots[i]
    return i
