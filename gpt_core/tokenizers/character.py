"""Tokenizers with one token per character, code point or byte.

A character is what a reader perceives as one: a letter with its marks, a complete emoji. It may be
many code points, and a code point is one to four bytes of UTF-8. Only bytes cover every text. See
``vocabulary`` for one text in each of these kinds.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from gpt_core.tokenizers.base import Tokenizer, require_encodable
from gpt_core.tokenizers.vocabulary import VocabularyTokenizer

_N_BYTES = 256
_FLAGS = re.compile("[\U0001f1e6-\U0001f1ff]{64}(?=[\U0001f1e6-\U0001f1ff])")


class CharacterTokenizer(VocabularyTokenizer):
    """Characters as readers count them (extended grapheme clusters) of the training text.

    Example:
        >>> CharacterTokenizer.split("نَعَمْ")
        ['نَ', 'عَ', 'مْ']

    References:
        Unicode Standard Annex 29, "Unicode Text Segmentation", section 3.
    """

    kind = "character"
    unit_pattern = r"\X"

    @classmethod
    @override
    def split(cls, text: str) -> list[str]:
        # A flag is two regional indicators. To know where a pair begins, the regex engine counts
        # back to the start of their run, in quadratic time, so long runs are cut into even parts.
        ends = [match.end() for match in _FLAGS.finditer(text)]
        split = super().split
        if not ends:
            return split(text)
        parts = zip([0, *ends], [*ends, len(text)], strict=True)
        return [unit for start, end in parts for unit in split(text[start:end])]


class CodePointTokenizer(VocabularyTokenizer):
    """Unicode code points of the training text: the characters of Python's ``str``.

    Example:
        >>> CodePointTokenizer.split("مْ")
        ['م', 'ْ']
    """

    kind = "codepoint"
    unit_pattern = r"[\s\S]"


class ByteTokenizer(Tokenizer):
    """UTF-8 bytes as ids 0 to 255, and id 256, which ends a document.

    A Latin letter is one token, an Arabic letter two, an emoji four.

    Example:
        >>> ByteTokenizer().encode("aب")
        [97, 216, 168]
    """

    kind = "byte"

    @property
    @override
    def vocab_size(self) -> int:
        return _N_BYTES + 1

    @property
    @override
    def special_ids(self) -> Mapping[str, int]:
        return {"eos": _N_BYTES}

    @override
    def encode(self, text: str) -> list[int]:
        return list(require_encodable(text))

    @override
    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        return np.frombuffer(require_encodable(text), dtype=np.uint8).astype(np.uint32)

    @override
    def decode(self, token_ids: Iterable[int]) -> str:
        ids = list(token_ids)
        for token_id in (min(ids, default=0), max(ids, default=0)):
            self._require_id(token_id)
        return bytes(i for i in ids if i < _N_BYTES).decode("utf-8", errors="replace")

    @override
    def token_bytes(self, token_id: int) -> bytes:
        self._require_id(token_id)
        return bytes([token_id]) if token_id < _N_BYTES else b""

    @classmethod
    def _load_from(cls, directory: Path) -> Self:
        return cls()
