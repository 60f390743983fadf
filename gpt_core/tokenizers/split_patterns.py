"""Where byte-level BPE may not merge: the patterns that cut a text into pieces first.

A piece is a word with the space before it, a number, a run of punctuation or of whitespace. Merges
stay inside a piece, so no token spans two words, and equal pieces need to be counted only once.

Example:
    GPT-2's pattern takes a combining mark for punctuation, so it cuts diacritised Arabic at every
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

from gpt_core.errors import ConfigError

_MAX_PIECE_CHARACTERS = 1 << 16  # characters; a longer piece is cut for training, for it is no word
_MAX_CHUNKS = 1 << 20  # distinct chunks held before they are split, which bounds the memory
# A space between two other characters that are no whitespace. It is looked for first, then what
# stands around it: the other way round is several times slower.
_CUT = re.compile(r" (?<=\S )(?=\S)")


@dataclass(frozen=True, slots=True)
class SplitPattern:
    """One way to cut a text into pieces."""

    published: str
    """The regular expression in the form that every engine reads."""

    fast: str
    """The same pieces with possessive quantifiers, which spare an engine the backtracking."""

    cuts_before_spaces: bool
    """No piece spans a space that has non-whitespace on both sides, except at its beginning."""

    def split(self, text: str) -> list[str]:
        """The pieces of a text; together they are the text."""
        compiled = regex.compile(self.fast)
        if compiled.groups:
            return [match[0] for match in compiled.finditer(text)]
        pieces: list[str] = compiled.findall(text)
        return pieces

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """How often each piece occurs in the texts, in memory that grows only with the answer.

        Where pieces never span a space between words, the text is first cut there, which is fast,
        and the regular expression sees each distinct chunk once.

        Args:
            texts: The documents.

        Returns:
            The pieces and their counts; a piece of more than 65,536 characters is counted in
            parts.
        """
        pieces: Counter[str] = Counter()
        chunks: Counter[str] = Counter()
        for text in texts:
            if self.cuts_before_spaces:
                first, *rest = _CUT.split(text)
                chunks.update(rest)  # each began with the space that was cut out
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
    """The pattern of a name, or a user's own regular expression.

    Characters that a user's expression leaves out become pieces of their own, so nothing is lost.

    Args:
        name_or_pattern: ``gpt2``, ``gpt4``, ``marks`` or a regular expression.

    Raises:
        ConfigError: If the expression cannot be read or matches the empty text.
    """
    named = _named_patterns()
    if name_or_pattern in named:
        return named[name_or_pattern]
    try:
        compiled = regex.compile(name_or_pattern)
    except regex.error as error:
        raise ConfigError(
            f"tokenizer.pattern is neither {', '.join(named)} nor a regular expression: {error}"
        ) from error
    if compiled.match("") is not None:
        raise ConfigError(
            f"tokenizer.pattern={name_or_pattern!r} matches the empty text, so it cuts nothing: "
            "use + in place of *"
        )
    total = rf"(?:{name_or_pattern})|[\s\S]"
    return SplitPattern(total, total, cuts_before_spaces=False)


def name_of_pattern(expression: str) -> str:
    """The name of a regular expression, or the expression itself where it has none."""
    for name, pattern in _named_patterns().items():
        if expression in (pattern.published, pattern.fast):
            return name
    return expression


def _named_patterns() -> dict[str, SplitPattern]:
    """GPT-2's, GPT-4's and GPT-2's with marks kept; the fast forms follow tiktoken's.

    None of them has a piece in which a space follows something that is no whitespace. GPT-4's is
    the one first published; tiktoken's present one cuts a text's last whitespace otherwise.
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
