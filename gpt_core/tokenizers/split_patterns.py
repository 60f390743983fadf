"""Split patterns: regular expressions that cut a text into pieces before byte-level BPE.

A piece is a word with the space before it, a number, a run of punctuation or of white space. Merges
stay inside a piece, so no token spans two words, and equal pieces are counted only once.

Example:
    GPT-2's pattern treats combining marks as punctuation, so it cuts vocalized Arabic at every
    vowel sign; ``marks`` keeps a mark with its letter.

    >>> split_pattern("gpt2").split("قُلْ هُوَ")
    ['ق', 'ُ', 'ل', 'ْ', ' ه', 'ُ', 'و', 'َ']
    >>> split_pattern("marks").split("قُلْ هُوَ")
    ['قُلْ', ' هُوَ']

References:
    Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import regex

from gpt_core.config.patterns import complete_pattern, require_pattern

_MAX_PIECE_CHARACTERS = 1 << 16  # longer pieces are no words and are cut for training
_MAX_CHUNKS = 1 << 20  # distinct chunks counted before they are split, which bounds the memory
# A space between two non-space characters. The space is matched first and the characters around it
# by look-behind and look-ahead: matching in reading order is several times slower.
_CUT = re.compile(r" (?<=\S )(?=\S)")


@dataclass(frozen=True, slots=True)
class SplitPattern:
    """A regular expression that cuts text into pieces."""

    published: str
    """The regular expression in the published form, which every engine understands."""

    fast: str
    """An equivalent expression with possessive quantifiers, which avoid backtracking."""

    cuts_before_spaces: bool
    """Whether a space between two non-space characters always begins a piece."""

    def split(self, text: str) -> list[str]:
        """Cut a text into pieces, whose concatenation is the text."""
        compiled = regex.compile(self.fast)
        if compiled.groups:
            return [match[0] for match in compiled.finditer(text)]
        pieces: list[str] = compiled.findall(text)
        return pieces

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """Count the distinct pieces of the texts, in memory proportional to the result.

        If ``cuts_before_spaces``, the text is first cut at single spaces, which is fast, and the
        regular expression is applied to each distinct chunk only once.

        Args:
            texts: The documents.

        Returns:
            Counts by piece; a piece of more than 65,536 characters is counted in parts.
        """
        pieces: Counter[str] = Counter()
        chunks: Counter[str] = Counter()
        for text in texts:
            if self.cuts_before_spaces:
                first, *rest = _CUT.split(text)
                chunks.update(rest)  # each began with a space, which the split removed
                self._split_into(pieces, first, 1)
            else:
                self._split_into(pieces, text, 1)
            if len(chunks) > _MAX_CHUNKS:
                self._split_chunks(pieces, chunks)
        self._split_chunks(pieces, chunks)
        return pieces

    def _split_chunks(self, pieces: Counter[str], chunks: Counter[str]) -> None:
        for chunk, count in chunks.items():
            self._split_into(pieces, " " + chunk, count)
        chunks.clear()

    def _split_into(self, pieces: Counter[str], text: str, count: int) -> None:
        for piece in self.split(text):
            if len(piece) <= _MAX_PIECE_CHARACTERS:
                pieces[piece] += count
            else:
                for start in range(0, len(piece), _MAX_PIECE_CHARACTERS):
                    pieces[piece[start : start + _MAX_PIECE_CHARACTERS]] += count


def split_pattern(name_or_pattern: str) -> SplitPattern:
    """Look up a pattern by name, or compile a user's regular expression.

    Characters that a user's expression does not match become pieces of one character.

    Args:
        name_or_pattern: ``gpt2``, ``gpt4``, ``marks`` or a regular expression.

    Raises:
        ConfigError: If the expression cannot be used, see ``require_pattern``.
    """
    named = _named_patterns()
    if name_or_pattern in named:
        return named[name_or_pattern]
    require_pattern(name_or_pattern)
    total = complete_pattern(name_or_pattern)
    return SplitPattern(total, total, cuts_before_spaces=False)


def name_of_pattern(expression: str) -> str:
    """The name of a known regular expression; other expressions are returned unchanged."""
    for name, pattern in _named_patterns().items():
        if expression in (pattern.published, pattern.fast):
            return name
    return expression


def _named_patterns() -> dict[str, SplitPattern]:
    """The patterns of GPT-2, of GPT-4 and of GPT-2 with marks; fast forms follow tiktoken's.

    In none of them a space follows a non-space character within a piece. GPT-4's pattern is the
    one first published; tiktoken's current one cuts white space at the end of a text differently.
    """
    contraction = "'(?:[sdmt]|ll|ve|re)"
    published = {
        "gpt2": contraction + r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+"
        r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "marks": contraction + r"| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+",
    }
    fast = {
        "gpt2": contraction + r"| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++"
        r"[\r\n]*+|\s*[\r\n]|\s++$|\s+(?!\S)|\s",
        "marks": contraction
        + r"| ?[\p{L}\p{M}]++| ?\p{N}++| ?[^\s\p{L}\p{M}\p{N}]++|\s++$|\s+(?!\S)|\s",
    }
    return {
        name: SplitPattern(published[name], fast[name], cuts_before_spaces=True)
        for name in published
    }
