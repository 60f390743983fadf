"""How close an answer is to the expected one: equal, or by their longest common subsequence."""

import unicodedata
from collections.abc import Sequence


def normalize(answer: str) -> str:
    """An answer without case, outer white space and a final full stop.

    Example:
        >>> normalize(" The cat. ")
        'the cat'
    """
    return " ".join(answer.casefold().split()).rstrip(".").rstrip()


def exact_match(answer: str, expected: str) -> bool:
    """Whether two answers are the same after ``normalize``."""
    return normalize(answer) == normalize(expected)


def rouge_l(answer: str, expected: str) -> float:
    """The F-measure of the longest common subsequence of words.

    With L its length, precision L / |answer| and recall L / |expected|, their harmonic mean.

    Words are runs of letters and digits, without case. Answers without any word agree wholly if
    they match exactly, else not at all.

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
    """The length of the longest sequence found in both, in order, with gaps.

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
