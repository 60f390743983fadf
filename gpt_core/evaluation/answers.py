"""Metrics of generated answers: exact match and ROUGE-L."""

import unicodedata
from collections.abc import Sequence


def normalize(answer: str) -> str:
    """Normalize an answer: ignore case, surrounding white space and a final full stop.

    Example:
        >>> normalize(" The cat. ")
        'the cat'
    """
    return " ".join(answer.casefold().split()).rstrip(".").rstrip()


def exact_match(answer: str, expected: str) -> bool:
    """Whether two answers are equal after ``normalize``."""
    return normalize(answer) == normalize(expected)


def rouge_l(answer: str, expected: str) -> float:
    """ROUGE-L: the F1 score of the longest common subsequence of words.

    With L its length: the harmonic mean of the precision L / |answer| and the recall
    L / |expected|. Words are runs of letters and digits, regardless of case. If neither answer has
    a word, the score is 1 for an exact match, else 0.

    Returns:
        A number in [0, 1].

    References:
        Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3.

    Example:
        >>> round(rouge_l("the cat sat", "the cat sat down"), 4)
        0.8571
    """
    given, wanted = _words(answer), _words(expected)
    if not given and not wanted:
        return float(exact_match(answer, expected))
    common = longest_common_subsequence(given, wanted)
    return 2 * common / (len(given) + len(wanted))


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest sequence of items that occurs in both in order, gaps allowed.

    Example:
        >>> longest_common_subsequence("abcbdab", "bdcaba")
        4
    """
    row = [0] * (len(second) + 1)
    for item in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = diagonal + 1 if item == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]


def _words(text: str) -> list[str]:
    """Runs of letters, digits and the marks on them, such as Arabic vowel signs."""
    kept = (c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text.casefold())
    return "".join(kept).split()
