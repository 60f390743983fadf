"""Byte-level byte-pair encoding (BPE): text becomes bytes, then frequent pairs become one token.

1. The split pattern cuts the text into pieces (see ``split_patterns``).
2. Each piece becomes the ids of its UTF-8 bytes.
3. Of all adjacent pairs, the one that training merged first is replaced by its token; this repeats
   until no pair is left that training merged.

``encode_reference`` is a literal implementation, to be read. ``encode`` passes the same vocabulary
to tiktoken, which is much faster; tests verify that both return the same ids.

Ids 0 to 255 are the bytes in GPT-2's order, id 256 + i is the result of merge i, and the last id
ends a document. GPT-2's merges therefore give GPT-2's ids.

References:
    Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units".
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import tiktoken
from typing_extensions import override

from gpt_core.errors import DataError
from gpt_core.files import write_json
from gpt_core.tokenizers.base import Tokenizer, read_own_file, require_encodable
from gpt_core.tokenizers.split_patterns import split_pattern

N_BYTES = 256
_RUN_CHARACTERS = 1 << 16
END_OF_TEXT = "<|endoftext|>"
"""The token between documents, spelled as in GPT-2."""

Pair = tuple[int, int]


class BPETokenizer(Tokenizer):
    """Byte-level BPE: covers every text, with frequent words as one token.

    Args:
        merges: Pairs of ids, in the order in which training merged them.
        pattern: ``gpt2``, ``gpt4``, ``marks`` or a regular expression.

    Raises:
        ConfigError: If the pattern cannot be used.
        DataError: If a merge joins undefined ids or makes a token that already exists.
    """

    kind = "bpe"
    file_name = "bpe.json"
    releases_gil = True

    def __init__(self, merges: Sequence[Pair], pattern: str) -> None:
        self.merges = tuple(merges)
        self.pattern = pattern
        self._split = split_pattern(pattern)
        self._tokens = _bytes_of_tokens(self.merges)
        self._merged = {pair: N_BYTES + i for i, pair in enumerate(self.merges)}
        self._encoding = self.to_tiktoken()

    @property
    def vocab_size(self) -> int:
        """256 bytes, the merges and the end-of-document token."""
        return len(self._tokens) + 1

    @property
    @override
    def special_ids(self) -> Mapping[str, int]:
        return {"eos": len(self._tokens)}

    @override
    def encode(self, text: str) -> list[int]:
        require_encodable(text)
        if _has_long_run(text):
            return self._encode_pieces(text)
        try:
            return self._encoding.encode_ordinary(text)
        except BaseException as error:
            _require_overflow(error)
            return self._encode_pieces(text)

    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        """Encode a text to an array of shape (n,), without a Python number per id."""
        require_encodable(text)
        if _has_long_run(text):
            return np.array(self._encode_pieces(text), np.uint32)
        try:
            return self._encoding.encode_to_numpy(text, disallowed_special=())
        except BaseException as error:
            _require_overflow(error)
            return np.array(self._encode_pieces(text), np.uint32)

    def _encode_pieces(self, text: str) -> list[int]:
        """The same ids with the text cut here: tiktoken's regex engine has a limited stack."""
        encode = self._encoding._encode_single_piece
        return [
            token_id for piece in self._split.split(text) for token_id in encode(piece.encode())
        ]

    def encode_reference(self, text: str) -> list[int]:
        """Encode a text step by step: the same ids as ``encode``, slowly."""
        require_encodable(text)
        ids: list[int] = []
        for piece in self._split.split(text):
            ids.extend(self._merge_piece([byte_ids()[byte] for byte in piece.encode()]))
        return ids

    def _merge_piece(self, ids: list[int]) -> list[int]:
        """Repeatedly merge the pair that training merged first, until no known pair is left."""
        while len(ids) > 1:
            first = min(pairwise(ids), key=lambda pair: self._merged.get(pair, len(self._tokens)))
            if first not in self._merged:
                break
            ids = merge_pair(ids, first, self._merged[first])
        return ids

    @override
    def token_bytes(self, token_id: int) -> bytes:
        self._require_id(token_id)
        return b"" if token_id == self.eos_id else self._tokens[token_id]

    def to_tiktoken(self) -> tiktoken.Encoding:
        """The same vocabulary as a tiktoken encoding, whose ranks are the ids.

        tiktoken merges any adjacent tokens whose joined bytes are a token, BPE only the pairs of
        its merges. The results are equal: no merge crosses the borders of a token's bytes, so they
        are merged as if they were a text of their own, which has only one result.
        """
        return tiktoken.Encoding(
            name=f"gptflow-{self.kind}",
            pat_str=self._split.fast,
            mergeable_ranks={token: rank for rank, token in enumerate(self._tokens)},
            special_tokens={END_OF_TEXT: len(self._tokens)},
        )

    def _save_file(self, path: Path) -> None:
        merges = [f"{first} {second}" for first, second in merge_strings(self.merges)]
        write_json(path, {"pattern": self.pattern, "merges": merges})

    @classmethod
    def _load_from(cls, directory: Path) -> Self:
        file = directory / str(cls.file_name)
        merges, pattern = read_own_file(file, merges=list, pattern=str)
        return cls(parse_merges(merges), pattern)


def _has_long_run(text: str) -> bool:
    """Whether there may be a run of white space that overflows the stack of tiktoken's engine.

    That takes about a million characters. A run of two ``_RUN_CHARACTERS`` has a complete slice.
    """
    slices = (text[i : i + _RUN_CHARACTERS] for i in range(0, len(text), _RUN_CHARACTERS))
    return len(text) > _RUN_CHARACTERS and any(part.isspace() for part in slices)


def _require_overflow(error: BaseException) -> None:
    """Raise an error again unless tiktoken's regex engine ran out of its stack.

    Depending on the method, that is a ValueError, or a panic of Rust, which is no ``Exception``.
    """
    is_panic = type(error).__name__ == "PanicException"
    if not (is_panic or (isinstance(error, ValueError) and "Regex error" in str(error))):
        raise error


def merge_pair(ids: Sequence[int], pair: Pair, merged: int) -> list[int]:
    """Replace each occurrence of an adjacent pair by one id, from left to right.

    Example:
        >>> merge_pair([1, 2, 3, 1, 2], (1, 2), 4)
        [4, 3, 4]
        >>> merge_pair([1, 1, 1], (1, 1), 4)
        [4, 1]
    """
    result: list[int] = []
    position = 0
    while position < len(ids):
        if tuple(ids[position : position + 2]) == pair:
            result.append(merged)
            position += 2
        else:
            result.append(ids[position])
            position += 1
    return result


@lru_cache(maxsize=1)
def byte_characters() -> tuple[str, ...]:
    """The printable character that represents each of the 256 bytes in GPT-2's files.

    Printable Latin-1 characters represent themselves; the other bytes get the characters from
    U+0100 on, so that a vocabulary is readable text. A space is U+0120.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else chr(next(others)) for byte in range(N_BYTES))


@lru_cache(maxsize=1)
def byte_ids() -> bytes:
    """The id of each byte: its rank when bytes are sorted by their ``byte_characters``."""
    characters = byte_characters()
    ids = bytearray(N_BYTES)
    for token_id, byte in enumerate(sorted(range(N_BYTES), key=characters.__getitem__)):
        ids[byte] = token_id
    return bytes(ids)


def token_strings(merges: Iterable[Pair]) -> list[str]:
    """The tokens as in GPT-2's files, in the order of ids, without the end of a document."""
    characters = byte_characters()
    return ["".join(characters[byte] for byte in token) for token in _bytes_of_tokens(merges)]


def merge_strings(merges: Sequence[Pair]) -> list[tuple[str, str]]:
    """The two tokens of each merge, as in GPT-2's files."""
    tokens = token_strings(merges)
    return [(tokens[first], tokens[second]) for first, second in merges]


def parse_merges(lines: Iterable[str | Sequence[str]]) -> list[Pair]:
    """Parse merges from their form in GPT-2's files.

    Args:
        lines: Merges, each as ``"first second"`` or as the two tokens.

    Returns:
        Pairs of ids.

    Raises:
        DataError: If a line is not two tokens, or has a token that no earlier line makes.
    """
    ids = {token: token_id for token_id, token in enumerate(token_strings(()))}
    merges: list[Pair] = []
    for number, line in enumerate(lines, start=1):
        parts = line.split(" ") if isinstance(line, str) else line
        known = isinstance(parts, list | tuple) and all(
            isinstance(part, str) and part in ids for part in parts
        )
        if not known or len(parts) != 2:
            raise DataError(
                f"merge {number} must be two tokens that are bytes or made by earlier merges, got "
                f"{json.dumps(line, ensure_ascii=False)}"
            )
        first, second = parts
        merges.append((ids[first], ids[second]))
        ids.setdefault(first + second, len(ids))
    return merges


def _bytes_of_tokens(merges: Iterable[Pair]) -> list[bytes]:
    """The bytes of each token, in the order of ids.

    Raises:
        DataError: If a merge joins undefined ids, or makes a token that already exists.
    """
    tokens = [bytes([byte]) for byte in sorted(range(N_BYTES), key=byte_ids().__getitem__)]
    for number, (first, second) in enumerate(merges, start=1):
        if not (0 <= first < len(tokens) and 0 <= second < len(tokens)):
            raise DataError(
                f"merge {number} joins the ids {first} and {second}, but there are only "
                f"{len(tokens)} tokens at that point"
            )
        tokens.append(tokens[first] + tokens[second])
    if len(set(tokens)) != len(tokens):
        raise DataError("two merges make the same token: the merges are not from one training")
    return tokens
