"""One token a character, a code point or a byte; see ``vocabulary`` for one text in each of them.

A character is what a reader takes for one: a letter with its marks, a whole emoji. It may be many
code points, and a code point is one to four bytes of UTF-8. Only bytes can write every text.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from gpt_core.tokenizers.base import Tokenizer, require_encodable
from gpt_core.tokenizers.vocabulary import VocabularyTokenizer

_N_BYTES = 256


class CharacterTokenizer(VocabularyTokenizer):
    """Characters as readers count them (extended grapheme clusters), as seen in training.

    Example:
        >>> CharacterTokenizer.split("نَعَمْ")
        ['نَ', 'عَ', 'مْ']

    References:
        Unicode Standard Annex 29, "Unicode Text Segmentation", section 3.
    """

    kind = "character"
    unit_pattern = r"\X"


class CodePointTokenizer(VocabularyTokenizer):
    """Unicode code points, as seen in training: Python's own characters.

    Example:
        >>> CodePointTokenizer.split("مْ")
        ['م', 'ْ']
    """

    kind = "codepoint"
    unit_pattern = r"[\s\S]"


class ByteTokenizer(Tokenizer):
    """The UTF-8 bytes of a text as ids 0 to 255, and one more id that ends a document.

    A Latin letter is one token, an Arabic letter two, an emoji four.

    Example:
        >>> ByteTokenizer().encode("aب")
        [97, 216, 168]
    """

    kind = "byte"

    @property
    def vocab_size(self) -> int:
        """256 bytes and the end of a document."""
        return _N_BYTES + 1

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The end of a document."""
        return {"eos": _N_BYTES}

    def encode(self, text: str) -> list[int]:
        """The bytes of a text in UTF-8."""
        return list(require_encodable(text))

    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        """The bytes of a text in UTF-8."""
        return np.frombuffer(require_encodable(text), dtype=np.uint8).astype(np.uint32)

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of bytes."""
        ids = list(token_ids)
        for token_id in (min(ids, default=0), max(ids, default=0)):
            self._require_id(token_id)
        return bytes(i for i in ids if i < _N_BYTES).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The byte itself."""
        self._require_id(token_id)
        return bytes([token_id]) if token_id < _N_BYTES else b""

    @classmethod
    def _load_from(cls, directory: Path) -> Self:
        return cls()
