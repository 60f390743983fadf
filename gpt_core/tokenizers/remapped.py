"""Byte-level BPE under somebody else's numbers.

GPT-2's own ids are the bytes, the merges in order, the end of a document. Other models of its
architecture were trained with other numbers: control tokens first, the bytes in another order, ids
that nothing has. What a text is cut into is the same; only the numbers are looked up in a table.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from gpt_core.errors import DataError
from gpt_core.files import read_json, write_json
from gpt_core.tokenizers.base import Tokenizer
from gpt_core.tokenizers.bpe import BPETokenizer, merge_strings, parse_merges


class RemappedBPETokenizer(Tokenizer):
    """A ``BPETokenizer`` whose ids are translated.

    Args:
        base: The same merges under GPT-2's numbers.
        ids: The id of each of its tokens but the end of a document, in its order.
        controls: The ids of control tokens by how they are written.
        eos_id: The id that ends a document, one of the controls.
        vocab_size: Number of ids; some may stand for nothing.

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
        """All ids, also those that stand for nothing."""
        return self._vocab_size

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The end of a document."""
        return {"eos": self._eos_id}

    def control_of(self, token_id: int) -> str:
        """How a control token is written."""
        return next(token for token, number in self.controls.items() if number == token_id)

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        """The ids of a text, shape (n,)."""
        return self.ids[self.base.encode_array(text)]

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of a token; none for a control token or an id that stands for nothing."""
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
        content = read_json(directory / str(cls.file_name))
        base = BPETokenizer(parse_merges(content["merges"]), content["pattern"])
        rest = (content[name] for name in ("ids", "controls", "eos_id", "vocab_size"))
        return cls(base, *rest)
