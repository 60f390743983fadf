"""How much of a text is repeated: lines, paragraphs and n words in a row.

References:
    Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher",
    appendix A1.1, "Repetition Removal".
"""

from collections.abc import Sequence

import numpy as np

from gpt_core.text.ngrams import Hashes, hash_ngrams


def repeated(items: Sequence[str]) -> list[str]:
    """The items that equal an earlier one.

    Example:
        >>> repeated(["a", "b", "a", "a"])
        ['a', 'a']
    """
    seen: set[str] = set()
    return [item for item in items if item in seen or seen.add(item)]  # type: ignore[func-returns-value]


def top_ngram_characters(words: Sequence[str], hashes: Hashes, n: int) -> int:
    """The characters in all occurrences of the n words in a row that are the most frequent.

    Args:
        words: The words of a text.
        hashes: Their hashes.
        n: Words in an n-gram.

    Returns:
        The n-gram's length, spaces between its words included, times its occurrences; 0 if none
        occurs twice. Of several that are the most frequent the first counts.
    """
    ngrams = hash_ngrams(hashes, n)
    _, firsts, counts = np.unique(ngrams, return_index=True, return_counts=True)
    most = int(counts.max(initial=0))
    if most < 2:
        return 0
    first = int(firsts[counts == most].min())
    return most * len(" ".join(words[first : first + n]))


def repeated_ngram_characters(words: Sequence[str], hashes: Hashes, n: int) -> int:
    """The characters in n words in a row that occurred before, none of them counted twice.

    Args:
        words: The words of a text.
        hashes: Their hashes.
        n: Words in an n-gram.
    """
    ngrams = hash_ngrams(hashes, n)
    if len(np.unique(ngrams)) == len(ngrams):
        return 0
    seen: set[int] = set()
    characters = start = 0
    numbers = ngrams.tolist()
    while start < len(numbers):
        if numbers[start] in seen:
            characters += sum(map(len, words[start : start + n]))
            start += n
        else:
            seen.add(numbers[start])
            start += 1
    return characters
