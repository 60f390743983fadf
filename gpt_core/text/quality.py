"""Drop documents that are no prose, by the filters of Gopher and FineWeb.

Words are what stands between white space, as in the papers. A document has the first limit that it
breaks as its reason, in the order of ``limits``. Stop words and the marks that end a sentence are
those of English and Arabic together, because many texts have both.

References:
    Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher",
    appendix A1.1, "Quality Filtering" and "Repetition Removal" with table A1; Penedo et al. 2024,
    "The FineWeb Datasets", section 3.6, "Developing additional heuristic filters".
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from gpt_core.text.near_duplicates import split_words
from gpt_core.text.ngrams import Hashes, WordHasher
from gpt_core.text.repetition import repeated, repeated_ngram_characters, top_ngram_characters

ENGLISH_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
"""Gopher's stop words."""

ARABIC_STOP_WORDS = frozenset({"في", "من", "على", "الى", "ان", "عن", "ما", "لا"})
"""Eight of the most frequent Arabic words; hamza is a combining mark and not compared."""

TERMINAL = (".", "!", "?", "…", '"', "”", "»", "؟", "۔")
"""Marks that end a line of prose: those of C4, which FineWeb takes, and Arabic ones."""

SHORT_LINE = 30
"""Characters of a short line."""

TOP_NGRAMS = ((2, 0.20), (3, 0.18), (4, 0.16))
"""Words, and the largest fraction of characters in the most frequent n-gram: Gopher's table A1."""

REPEATED_NGRAMS = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
"""Words, and the largest fraction of characters in repeated n-grams: Gopher's table A1."""

_PARAGRAPH = re.compile(r"\n{2,}")
_LINES = re.compile(r"\n+")


class Page:
    """A document and the measures that several limits have of it.

    Args:
        text: The document, with at least one word.
        hasher: Hashes its words.
    """

    def __init__(self, text: str, hasher: WordHasher) -> None:
        self.text, self._hasher = text, hasher
        self.words = text.split()
        self.lines = [line for line in text.splitlines() if line.strip()]
        self.pieces = {"line": _LINES.split(text), "paragraph": _PARAGRAPH.split(text.strip())}

    @cached_property
    def named(self) -> list[str]:
        """The words that are no mere symbols: those with a letter or a digit."""
        return [word for word in self.words if any(map(str.isalnum, word))]

    @cached_property
    def hashes(self) -> Hashes:
        """The hashes of all words."""
        return self._hasher.hash_words(self.words)


@dataclass(frozen=True, slots=True)
class Limit:
    """The least and the greatest value that a measure may have."""

    reason: str
    measure: Callable[[Page], float]
    least: float = -math.inf
    most: float = math.inf


def _mean_length(page: Page) -> float:
    return sum(map(len, page.named)) / max(1, len(page.named))


def _symbols_per_word(page: Page, symbols: Sequence[str]) -> float:
    return sum(map(page.text.count, symbols)) / len(page.words)


def _lines_beginning(page: Page, marks: tuple[str, ...]) -> float:
    return sum(line.lstrip().startswith(marks) for line in page.lines) / len(page.lines)


def _lines_ending(page: Page, marks: tuple[str, ...]) -> float:
    return sum(line.rstrip().endswith(marks) for line in page.lines) / len(page.lines)


def _short_lines(page: Page) -> float:
    return sum(len(line) <= SHORT_LINE for line in page.lines) / len(page.lines)


def _alphabetic(page: Page) -> float:
    return sum(any(map(str.isalpha, word)) for word in page.words) / len(page.words)


def _stop_words(page: Page) -> float:
    words = set(split_words(page.text))
    return max(len(words & ENGLISH_STOP_WORDS), len(words & ARABIC_STOP_WORDS))


def _repeated(page: Page, unit: str) -> float:
    return len(repeated(page.pieces[unit])) / len(page.pieces[unit])


def _repeated_characters(page: Page, unit: str) -> float:
    return sum(map(len, repeated(page.pieces[unit]))) / len(page.text)


def _repeated_line_characters(page: Page) -> float:
    """The fraction of characters other than line ends, as FineWeb has it."""
    return sum(map(len, repeated(page.lines))) / len(page.text.replace("\n", ""))


def _top_ngram(page: Page, n: int) -> float:
    return top_ngram_characters(page.words, page.hashes, n) / len(page.text)


def _repeated_ngrams(page: Page, n: int) -> float:
    return repeated_ngram_characters(page.words, page.hashes, n) / len(page.text)


def limits(min_words: int) -> tuple[Limit, ...]:
    """All limits: Gopher's of quality, Gopher's of repetition, FineWeb's.

    Args:
        min_words: Least number of words; Gopher's is 50.
    """
    ellipses = ("...", "…")
    return (
        Limit("words", lambda page: len(page.named), min_words, 100_000),
        Limit("mean_word_length", _mean_length, 3, 10),
        Limit("hashes_per_word", partial(_symbols_per_word, symbols=("#",)), most=0.1),
        Limit("ellipses_per_word", partial(_symbols_per_word, symbols=ellipses), most=0.1),
        Limit("bullet_lines", partial(_lines_beginning, marks=("•", "-")), most=0.9),
        Limit("ellipsis_lines", partial(_lines_ending, marks=ellipses), most=0.3),
        Limit("alphabetic_words", _alphabetic, least=0.8),
        Limit("stop_words", _stop_words, least=2),
        Limit("repeated_paragraphs", partial(_repeated, unit="paragraph"), most=0.3),
        Limit("repeated_paragraph_characters",
              partial(_repeated_characters, unit="paragraph"), most=0.2),
        Limit("repeated_lines", partial(_repeated, unit="line"), most=0.3),
        Limit("repeated_line_characters", partial(_repeated_characters, unit="line"), most=0.2),
        *(Limit(f"top_{n}_gram", partial(_top_ngram, n=n), most=m) for n, m in TOP_NGRAMS),
        *(
            Limit(f"repeated_{n}_grams", partial(_repeated_ngrams, n=n), most=most)
            for n, most in REPEATED_NGRAMS
        ),
        Limit("lines_ending_a_sentence", partial(_lines_ending, marks=TERMINAL), least=0.12),
        Limit("short_lines", _short_lines, most=0.67),
        Limit("fineweb_repeated_line_characters", _repeated_line_characters, most=0.1),
    )  # fmt: skip


class QualityFilter:
    """Keeps documents that break no limit.

    Args:
        min_words: Least number of words.
    """

    def __init__(self, min_words: int) -> None:
        self._limits, self._hasher = limits(min_words), WordHasher()

    def reason(self, text: str) -> str | None:
        r"""The name of the first limit that a text breaks, after ``quality_``; None if none.

        Example:
            >>> QualityFilter(min_words=3).reason("- one\n- two\n- three")
            'quality_bullet_lines'
        """
        if not text.strip():
            return "quality_words"
        page = Page(text, self._hasher)
        for limit in self._limits:
            if not limit.least <= limit.measure(page) <= limit.most:
                return f"quality_{limit.reason}"
        return None
