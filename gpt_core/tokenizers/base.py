"""The interface of all tokenizers, and their storage.

A tokenizer's directory holds ``tokenizer.json`` (kind, version, special ids, the SHA-256 of the
other file) and, for most kinds, one file more. There are no pickles.
"""

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from gpt_core.errors import DataError
from gpt_core.files import read_json, sha256_file, write_json

DESCRIPTION = "tokenizer.json"
VERSION = 1


class Tokenizer(ABC):
    """Converts text to ids and back. Text never becomes a special id, whatever it contains."""

    kind: ClassVar[str]
    """Name of the kind in ``TokenizerConfig.kind`` and ``tokenizer.json``."""

    file_name: ClassVar[str | None] = None
    """Name of the kind's own file in the directory, if it has one."""

    releases_gil: ClassVar[bool] = False
    """Whether encoding releases the GIL, so that threads can encode in parallel."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, special ids included."""

    @property
    @abstractmethod
    def special_ids(self) -> Mapping[str, int]:
        """Special ids by name: ``eos`` (end of document), maybe ``bos``, ``pad`` and ``unk``."""

    @property
    def bos_id(self) -> int | None:
        """The id that begins a document, or None."""
        return self.special_ids.get("bos")

    @property
    def unk_id(self) -> int | None:
        """The id of text outside the vocabulary; None if the vocabulary covers every text."""
        return self.special_ids.get("unk")

    @property
    def eos_id(self) -> int:
        """The id that ends a document."""
        return self.special_ids["eos"]

    @property
    def pad_id(self) -> int:
        """The padding id; ``eos_id`` if there is no other."""
        return self.special_ids.get("pad", self.eos_id)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Encode a text.

        Raises:
            DataError: If the text contains a lone surrogate, which UTF-8 cannot represent.
        """

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode several texts."""
        return [self.encode(text) for text in texts]

    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        """Encode a text to an array of shape (n,).

        Raises:
            DataError: If the text contains a lone surrogate.
        """
        return np.array(self.encode(text), dtype=np.uint32)

    def pieces(self, text: str) -> list[bytes]:
        """Cut the UTF-8 bytes of a text at its token boundaries: one piece for each id.

        Raises:
            DataError: If the text contains a lone surrogate.
        """
        return [self.token_bytes(token_id) for token_id in self.encode(text)]

    @abstractmethod
    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes of a token; empty for special ids, U+FFFD for ``unk`` of some kinds.

        Raises:
            DataError: If there is no such id.
        """

    def decode(self, token_ids: Iterable[int]) -> str:
        """Decode ids to text; bytes that are not UTF-8 become U+FFFD, special ids nothing.

        Raises:
            DataError: If there is no such id.
        """
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", errors="replace")

    def save(self, directory: Path) -> None:
        """Write the tokenizer into a directory, which is created if it does not exist."""
        directory.mkdir(parents=True, exist_ok=True)
        description: dict[str, object] = {
            "kind": self.kind,
            "version": VERSION,
            "vocab_size": self.vocab_size,
            "specials": dict(self.special_ids),
        }
        if self.file_name is not None:
            self._save_file(directory / self.file_name)
            description["sha256"] = sha256_file(directory / self.file_name)
        write_json(directory / DESCRIPTION, description)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load a tokenizer from the directory that ``save`` wrote.

        Raises:
            DataError: If it is missing, of another kind or version, or was altered.
        """
        description = read_description(directory)
        if description.get("kind") != cls.kind:
            raise DataError(f"{directory} is a {description.get('kind')} tokenizer, not {cls.kind}")
        if cls.file_name is not None:
            file = directory / cls.file_name
            if not file.is_file() or sha256_file(file) != description.get("sha256"):
                raise DataError(f"{file} is missing or was altered: train the tokenizer again")
        tokenizer = cls._load_from(directory)
        described = (description.get("vocab_size"), description.get("specials"))
        if described != (tokenizer.vocab_size, dict(tokenizer.special_ids)):
            raise DataError(
                f"{directory / DESCRIPTION} was altered: its vocab_size or specials are not those "
                "of the tokenizer beside it; train the tokenizer again"
            )
        return tokenizer

    def _save_file(self, path: Path) -> None:
        """Write the kind's own file."""
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def _load_from(cls, directory: Path) -> Self:
        """Load the tokenizer from a directory whose checksums were verified."""

    def _require_id(self, token_id: int) -> None:
        if not 0 <= token_id < self.vocab_size:
            raise DataError(
                f"there is no token {token_id}: this tokenizer's ids are 0 to {self.vocab_size - 1}"
            )


def read_description(directory: Path) -> dict[str, object]:
    """Read the ``tokenizer.json`` of a directory.

    Raises:
        DataError: If it is missing, damaged or of another version.
    """
    description = read_json(directory / DESCRIPTION)
    if not isinstance(description, dict) or description.get("version") != VERSION:
        found = description.get("version") if isinstance(description, dict) else None
        raise DataError(
            f"{directory / DESCRIPTION} has version {found}, this gptflow reads version {VERSION}"
        )
    return description


def read_own_file(file: Path, **kinds: type) -> list[Any]:
    """Read the values of a tokenizer's own JSON file, each of a known type.

    Args:
        file: The file.
        kinds: The type of each value by its key; a list's items are not checked.

    Returns:
        The values in this order.

    Raises:
        DataError: If the file is damaged, or naming the value that is missing or of another type.
    """
    content = read_json(file)
    for name, kind in kinds.items():
        found = content.get(name) if isinstance(content, dict) else None
        if type(found) is not kind:
            raise DataError(
                f"{file} should have {name} of type {kind.__name__}, got {found!r}: train the "
                "tokenizer again"
            )
    return [content[name] for name in kinds]


def require_encodable(text: str) -> bytes:
    """Encode a text in UTF-8.

    Raises:
        DataError: If the text contains a lone surrogate, naming it and its position.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise DataError(
            f"the text has a lone surrogate U+{code:04X} at character {error.start}, which UTF-8 "
            "cannot write: clean the text first"
        ) from error


def first_difference(a: Tokenizer, b: Tokenizer) -> str | None:
    """Describe the first id that stands for different text in two tokenizers, or return None.

    Example:
        >>> from gpt_core.tokenizers import ByteTokenizer, CodePointTokenizer
        >>> first_difference(ByteTokenizer(), CodePointTokenizer(["a"]))
        '257 and 3 tokens'
    """
    if a.vocab_size != b.vocab_size:
        return f"{a.vocab_size} and {b.vocab_size} tokens"
    ids = range(a.vocab_size)
    differing = next((i for i in ids if a.token_bytes(i) != b.token_bytes(i)), None)
    return None if differing is None else f"token {differing} is not the same"


class StreamDecoder:
    """Decodes a stream of ids, buffering the bytes of an incomplete character.

    Args:
        tokenizer: The tokenizer of the ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Decode the next id; return the characters that it completes, maybe none."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """End the stream; return U+FFFD for an incomplete character."""
        return self._decoder.decode(b"", final=True)
