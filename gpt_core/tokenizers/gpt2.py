"""GPT-2's released vocabulary, read from its two files without a network."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from gpt_core.errors import DataError
from gpt_core.tokenizers.bpe import BPETokenizer, Pair, merge_strings
from gpt_core.tokenizers.bpe_files import read_gpt2_merges

# Hash of the 50,000 lines "first second" of vocab.bpe, joined by line feeds, without the header.
# The merges determine everything else, so copies with another header or line ends are accepted.
_MERGES_SHA256 = "04e3597d7996f292ca9b8b7285ca4d58a6ae171ac47d73fc7140ceb0c7a6bbc0"


class GPT2Tokenizer(BPETokenizer):
    """GPT-2's byte-level BPE: 50,256 tokens and ``<|endoftext|>``."""

    kind = "gpt2"

    @classmethod
    def from_release(cls, directory: Path) -> Self:
        """Load ``encoder.json`` and ``vocab.bpe`` (or ``vocab.json`` and ``merges.txt``).

        Raises:
            DataError: If a file is missing or damaged, or is not the released one.
        """
        merges = read_gpt2_merges(directory)
        found = _sha256_of(merges)
        if found != _MERGES_SHA256:
            raise DataError(
                f"{directory} holds a vocabulary that is not GPT-2's released one: the sha256 of "
                f"its merges is {found}, expected {_MERGES_SHA256}"
            )
        return cls(merges, "gpt2")


def is_gpt2_vocabulary(merges: Sequence[Pair]) -> bool:
    """Whether these are the merges of GPT-2's released vocabulary."""
    return _sha256_of(merges) == _MERGES_SHA256


def _sha256_of(merges: Sequence[Pair]) -> str:
    lines = "\n".join(f"{first} {second}" for first, second in merge_strings(merges))
    return hashlib.sha256(lines.encode()).hexdigest()
