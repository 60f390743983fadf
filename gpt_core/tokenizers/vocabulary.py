r"""Closed-vocabulary tokenizers: one id for each distinct unit of the training text.

They differ only in their unit: a word, a character or a code point. A unit that is not in the
training text becomes ``unk`` and is lost, which is why modern models use bytes or subword pieces.
One text in all kinds (``e`` and its accent are two code points, the emoji three, joined by U+200D):

    >>> from gpt_core.tokenizers import (
    ...     ByteTokenizer, CharacterTokenizer, CodePointTokenizer, WordTokenizer
    ... )
    >>> text = "cafe\u0301 قُلْ 👩\u200d👦"
    >>> WordTokenizer.split(text)
    ['café', ' قُلْ', ' 👩', '\u200d', '👦']
    >>> CharacterTokenizer.split(text)
    ['c', 'a', 'f', 'é', ' ', 'قُ', 'لْ', ' ', '👩\u200d👦']
    >>> len(CodePointTokenizer.split(text)), len(ByteTokenizer().encode(text))
    (14, 27)
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import regex
from typing_extensions import override

from gpt_core.errors import DataError
from gpt_core.files import read_json, write_json
from gpt_core.tokenizers.base import Tokenizer, require_encodable

_N_SPECIALS = 2
_REPLACEMENT = "\ufffd".encode()  # decoded from ``unk``


class VocabularyTokenizer(Tokenizer):
    """One id for each unit in code-point order, then ``unk``, then the end of a document.

    Args:
        units: Distinct units, sorted.
    """

    file_name = "vocabulary.json"
    unit_pattern: ClassVar[str]
    """The regular expression of a unit; it must match every character."""

    def __init__(self, units: Sequence[str]) -> None:
        self.units = tuple(units)
        self._ids = {unit: token_id for token_id, unit in enumerate(self.units)}
        self._bytes = [*(unit.encode() for unit in self.units), _REPLACEMENT, b""]

    @classmethod
    def split(cls, text: str) -> list[str]:
        """Split a text into units, whose concatenation is the text."""
        units: list[str] = regex.findall(cls.unit_pattern, text)
        return units

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int | None) -> Self:
        """Build a vocabulary of the most frequent units of texts, see ``from_counts``."""
        counts: Counter[str] = Counter()
        for text in texts:
            require_encodable(text)
            counts.update(cls.split(text))
        return cls.from_counts(counts, vocab_size)

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], vocab_size: int | None) -> Self:
        """Build a vocabulary of the most frequent units; ties go to the lower code point.

        Args:
            counts: Counts of the units of the training documents.
            vocab_size: Number of tokens, ``unk`` and the end of a document included; None for all
                units.

        Raises:
            DataError: If there are no units, or too few distinct ones.
        """
        largest = len(counts) + _N_SPECIALS
        if not counts:
            raise DataError("there is no text in the training split, so it has no vocabulary")
        if vocab_size is not None and vocab_size > largest:
            raise DataError(
                f"the training text supports a {cls.kind} vocabulary of at most {largest}, "
                f"tokenizer.vocab_size is {vocab_size}: set it lower, or to none for all of them"
            )
        by_frequency = sorted(counts, key=lambda unit: (-counts[unit], unit))
        kept = by_frequency if vocab_size is None else by_frequency[: vocab_size - _N_SPECIALS]
        return cls(sorted(kept))

    @property
    def vocab_size(self) -> int:
        """Number of units, plus ``unk`` and the end of a document."""
        return len(self.units) + _N_SPECIALS

    @property
    @override
    def special_ids(self) -> Mapping[str, int]:
        return {"unk": len(self.units), "eos": len(self.units) + 1}

    def encode(self, text: str) -> list[int]:
        """Encode a text, with ``unk`` for units outside the vocabulary."""
        require_encodable(text)
        unknown = len(self.units)
        return [self._ids.get(unit, unknown) for unit in self.split(text)]

    def pieces(self, text: str) -> list[bytes]:
        """The units of a text, unknown ones included."""
        return [require_encodable(unit) for unit in self.split(text)]

    @override
    def token_bytes(self, token_id: int) -> bytes:
        self._require_id(token_id)
        return self._bytes[token_id]

    def _save_file(self, path: Path) -> None:
        write_json(path, list(self.units))

    @classmethod
    def _load_from(cls, directory: Path) -> Self:
        file = directory / str(cls.file_name)
        units = read_json(file)
        if not isinstance(units, list) or not all(isinstance(unit, str) for unit in units):
            raise DataError(f"{file} should be a list of texts: train the tokenizer again")
        if sorted(set(units)) != units:
            raise DataError(f"{file} is not sorted or has a unit twice: train the tokenizer again")
        for unit in units:
            require_encodable(unit)
        return cls(units)
