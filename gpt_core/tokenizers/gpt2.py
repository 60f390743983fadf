"""The vocabulary that GPT-2 was released with, through tiktoken and without a network."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import tiktoken

from gpt_core.errors import DataError
from gpt_core.files import read_json, sha256_file, write_json
from gpt_core.tokenizers.base import Tokenizer, require_encodable

_END = "<|endoftext|>"
_HASHES = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
_OTHER_NAMES = {"encoder.json": "vocab.json", "vocab.bpe": "merges.txt"}
# GPT-2's split, with possessive quantifiers: the same pieces without backtracking.
_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


class GPT2Tokenizer(Tokenizer):
    """GPT-2's byte-level BPE: 50,256 tokens and ``<|endoftext|>``.

    Args:
        ranks: The bytes of each token to its id.
    """

    kind = "gpt2"
    file_name = "ranks.json"

    def __init__(self, ranks: Mapping[bytes, int]) -> None:
        self._ranks = dict(ranks)
        self._encoding = tiktoken.Encoding(
            name="gptflow-gpt2",
            pat_str=_PATTERN,
            mergeable_ranks=self._ranks,
            special_tokens={_END: len(self._ranks)},
        )

    def __reduce__(self) -> tuple[type[Self], tuple[dict[bytes, int]]]:
        """Travels to worker processes as its ranks."""
        return type(self), (self._ranks,)

    @classmethod
    def from_release(cls, directory: Path) -> Self:
        """Build from ``encoder.json`` and ``vocab.bpe`` (or ``vocab.json`` and ``merges.txt``).

        Raises:
            DataError: If a file is missing or is not the released one.
        """
        for name, expected in _HASHES.items():
            file = directory / name
            file = file if file.is_file() else directory / _OTHER_NAMES[name]
            if not file.is_file():
                raise DataError(
                    f"{directory} has neither {name} nor {_OTHER_NAMES[name]}: put GPT-2's "
                    f"vocabulary there (sha256 of {name}: {expected}) or set tokenizer.directory"
                )
            if name == "encoder.json":
                encoder = read_json(file)
            elif not _has_released_merges(file, expected):
                raise DataError(f"{file} is not GPT-2's released merges (its sha256 differs)")
        if len(encoder) != 50_257 or encoder.get(_END) != 50_256:
            raise DataError(f"{directory}: the vocabulary is not GPT-2's 50,257 tokens")
        to_byte = {character: byte for byte, character in enumerate(_byte_characters())}
        del encoder[_END]
        return cls({bytes(map(to_byte.__getitem__, token)): i for token, i in encoder.items()})

    @property
    def vocab_size(self) -> int:
        """50,257."""
        return int(self._encoding.n_vocab)

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The end of a document."""
        return {"eos": len(self._ranks)}

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        require_encodable(text)
        return self._encoding.encode_ordinary(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on one thread: worker processes share the work."""
        for text in texts:
            require_encodable(text)
        return [self._encoding.encode_ordinary(text) for text in texts]

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of ids."""
        return super().decode(token_ids)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of a token."""
        self._require_id(token_id)
        return (
            b"" if token_id == self.eos_id else self._encoding.decode_single_token_bytes(token_id)
        )

    def _save_file(self, path: Path) -> None:
        # Latin-1 gives each byte one character, which JSON can hold.
        write_json(path, {token.decode("latin-1"): i for token, i in self._ranks.items()})

    @classmethod
    def _load_from(cls, directory: Path) -> Self:
        ranks = json.loads((directory / str(cls.file_name)).read_text(encoding="utf-8"))
        return cls({token.encode("latin-1"): i for token, i in ranks.items()})


def _has_released_merges(file: Path, expected: str) -> bool:
    return sha256_file(file) == expected or len(file.read_bytes().splitlines()) in (50_000, 50_001)


def _byte_characters() -> list[str]:
    """The printable character that GPT-2's files write for each byte.

    Printable Latin-1 stands for itself; the other bytes take the characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
