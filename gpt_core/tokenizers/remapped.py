"""Byte-level BPE with a table of ids, for models whose ids are not in GPT-2's order.

GPT-2's ids are the bytes, the merges in order, the end of a document. Other models of its
architecture have control tokens first, the bytes in another order, or unused ids. The tokens of a
text are the same; only their ids are looked up in a table.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from gpt_core.errors import DataError
from gpt_core.files import write_json
from gpt_core.tokenizers.base import Tokenizer, read_own_file
from gpt_core.tokenizers.bpe import BPETokenizer, merge_strings, parse_merges

_MAX_VOCAB_SIZE = 1 << 24  # unused ids take memory too, and a file may claim any number of them


class RemappedBPETokenizer(Tokenizer):
    """A ``BPETokenizer`` whose ids are mapped to others.

    Args:
        base: The tokenizer with the same merges and GPT-2's ids.
        ids: The new id of each token of ``base`` except its end of a document.
        controls: Ids of the control tokens, by their spelling.
        eos_id: The id that ends a document, one of the controls.
        vocab_size: Number of ids; some may be unused.

    Raises:
        DataError: If there are not as many ids as tokens, or two are equal or out of range.
    """

    kind = "bpe-numbered"
    file_name = "bpe.json"
    releases_gil = True

    def __init__(
        self,
        base: BPETokenizer,
        ids: Sequence[int],
        controls: Mapping[str, int],
        eos_id: int,
        vocab_size: int,
    ) -> None:
        used = [*ids, *controls.values()]
        if not all(type(token_id) is int for token_id in used):
            raise DataError("the ids of a vocabulary must be whole numbers")
        if not 0 < vocab_size <= _MAX_VOCAB_SIZE:
            raise DataError(f"a vocabulary has 1 to {_MAX_VOCAB_SIZE:,} ids, not {vocab_size}")
        if len(ids) != base.eos_id or len(set(used)) != len(used):
            raise DataError("each token of a vocabulary needs one id, which no other token has")
        if eos_id not in controls.values():
            raise DataError(f"the id {eos_id} that ends a document is of no control token")
        if not all(0 <= token_id < vocab_size for token_id in (*used, eos_id)):
            raise DataError(f"the ids of a vocabulary of {vocab_size} must be below that number")
        self.base, self.controls = base, dict(controls)
        self.ids = np.array(ids, np.uint32)
        self._eos_id, self._vocab_size = eos_id, vocab_size
        self._base_ids = {token_id: i for i, token_id in enumerate(ids)}

    @property
    def vocab_size(self) -> int:
        """Number of ids, unused ones included."""
        return self._vocab_size

    @property
    @override
    def special_ids(self) -> Mapping[str, int]:
        return {"eos": self._eos_id}

    def control_of(self, token_id: int) -> str:
        """The spelling of a control token."""
        return next(token for token, number in self.controls.items() if number == token_id)

    @override
    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    @override
    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        return self.ids[self.base.encode_array(text)]

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes of a token; empty for control tokens and unused ids."""
        self._require_id(token_id)
        base_id = self._base_ids.get(token_id)
        return b"" if base_id is None else self.base.token_bytes(base_id)

    def _save_file(self, path: Path) -> None:
        merges = [f"{first} {second}" for first, second in merge_strings(self.base.merges)]
        content = {
            "pattern": self.base.pattern,
            "merges": merges,
            "ids": self.ids.tolist(),
            "controls": self.controls,
            "eos_id": self._eos_id,
            "vocab_size": self._vocab_size,
        }
        write_json(path, content)

    @classmethod
    def _load_from(cls, directory: Path) -> Self:
        file = directory / str(cls.file_name)
        merges, pattern = read_own_file(file, merges=list, pattern=str)
        rest = read_own_file(file, ids=list, controls=dict, eos_id=int, vocab_size=int)
        return cls(BPETokenizer(parse_merges(merges), pattern), *rest)
