"""What every tokenizer can do, and how one lies on disk.

A tokenizer's directory holds ``tokenizer.json`` (kind, version, specials, the sha256 of the other
file) beside the kind's own file. Nothing in it is a pickle.
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
    """Text to ids and back. Text never becomes a special id, whatever it contains."""

    kind: ClassVar[str]
    """The name in ``TokenizerConfig.kind``."""

    file_name: ClassVar[str | None] = None
    """The kind's own file in the directory, if it has one."""

    releases_gil: ClassVar[bool] = False
    """Whether threads can encode side by side, because the work is not done in Python."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, specials included."""

    @property
    @abstractmethod
    def special_ids(self) -> Mapping[str, int]:
        """Ids that stand for no text, by name: ``eos`` always, ``pad``, ``unk``, ``bos`` maybe."""

    @property
    def bos_id(self) -> int | None:
        """The id that begins a document, where there is one."""
        return self.special_ids.get("bos")

    @property
    def unk_id(self) -> int | None:
        """The id of what the vocabulary lacks, where something can be lacking."""
        return self.special_ids.get("unk")

    @property
    def eos_id(self) -> int:
        """The id that ends a document."""
        return self.special_ids["eos"]

    @property
    def pad_id(self) -> int:
        """The id that fills rows up; the end of document where there is no other."""
        return self.special_ids.get("pad", self.eos_id)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text.

        Raises:
            DataError: If the text holds a lone surrogate, which no encoding can write.
        """

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        return [self.encode(text) for text in texts]

    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        """The ids of a text, shape (n,).

        Raises:
            DataError: If the text holds a lone surrogate.
        """
        return np.array(self.encode(text), dtype=np.uint32)

    def pieces(self, text: str) -> list[bytes]:
        """The text's own bytes, cut where its ids are: one piece for each id.

        Raises:
            DataError: If the text holds a lone surrogate.
        """
        return [self.token_bytes(token_id) for token_id in self.encode(text)]

    @abstractmethod
    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that an id stands for; none for a special id, U+FFFD for a lost unit.

        Raises:
            DataError: If there is no such id.
        """

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD, special ids nothing.

        Raises:
            DataError: If there is no such id.
        """
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", errors="replace")

    def save(self, directory: Path) -> None:
        """Write the tokenizer into a directory."""
        directory.mkdir(parents=True, exist_ok=True)
        description: dict[str, Any] = {
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
        """Read the tokenizer from a directory.

        Args:
            directory: Where ``save`` wrote it.

        Raises:
            DataError: If it is missing, of another kind or version, or altered.
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
        """Build the tokenizer from a directory that was checked."""

    def _require_id(self, token_id: int) -> None:
        if not 0 <= token_id < self.vocab_size:
            raise DataError(
                f"there is no token {token_id}: this tokenizer's ids are 0 to {self.vocab_size - 1}"
            )


def read_description(directory: Path) -> dict[str, Any]:
    """The ``tokenizer.json`` of a directory.

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


def require_encodable(text: str) -> bytes:
    """The text in UTF-8.

    Raises:
        DataError: If the text holds a lone surrogate.
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
    """Turns ids into text as they come, holding back bytes of a character that is not whole yet.

    Args:
        tokenizer: Whose ids they are.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The text that this id completes, perhaps none."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """What was held back, at the end."""
        return self._decoder.decode(b"", final=True)
