"""Documents: identity, train/validation/test split, and storage as Parquet.

A documents artifact holds ``train.parquet``, ``validation.parquet`` and ``test.parquet`` with the
columns ``id``, ``text`` and ``source``. Row groups are the unit of parallel work.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import Artifact
from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.reading import read_texts

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string())])
_ROW_GROUP_CHARACTERS = 1 << 20  # evens out the work of row groups, however long documents are
_ROW_GROUP_DOCUMENTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its id and the name of its source."""

    id: str
    text: str
    source: str


def read_documents(path: Path, reading: ReadingConfig) -> Iterator[Document]:
    """Stream the documents of a source; see ``read_texts``."""
    for document_id, text in read_texts(path, reading):
        yield Document(document_id, text, path.name)


def split_of(document_id: str, validation_share: float, test_share: float) -> Split:
    """Assign a document to a split by a hash of its id, independently of all other documents.

    Args:
        document_id: Hashed to a number in [0, 1).
        validation_share: Fraction of the interval, from 0, that is ``validation``.
        test_share: Fraction of the interval after it that is ``test``; the rest is ``train``.

    Example:
        >>> split_of("hadith#1", 0.0, 0.0)
        'train'
    """
    digest = hashlib.blake2b(document_id.encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big") / 2**64
    if number < validation_share:
        return "validation"
    return "test" if number < validation_share + test_share else "train"


class DocumentWriter:
    """Writes documents to a Parquet file, a row group at a time.

    Args:
        path: The file, created or replaced.
    """

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self._rows: list[Document] = []
        self._size = 0
        self.n_documents = 0
        self.n_characters = 0

    def write(self, document: Document) -> None:
        """Add one document."""
        self._rows.append(document)
        self._size += len(document.text)
        self.n_documents += 1
        self.n_characters += len(document.text)
        if self._size >= _ROW_GROUP_CHARACTERS or len(self._rows) >= _ROW_GROUP_DOCUMENTS:
            self._flush()

    def _flush(self) -> None:
        columns = {name: [getattr(row, name) for row in self._rows] for name in SCHEMA.names}
        self._writer.write_table(pa.table(columns, schema=SCHEMA))
        self._rows, self._size = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if self._rows and kind is None:
            self._flush()
        self._writer.close()


def documents_file(documents: Artifact, split: Split) -> Path:
    """The Parquet file of one split."""
    return documents.directory / f"{split}.parquet"


def count_row_groups(documents: Artifact, split: Split) -> int:
    """The number of row groups of a split."""
    return int(_open(documents_file(documents, split)).metadata.num_row_groups)


def read_row_group(file: Path, group: int) -> list[str]:
    """Read the texts of one row group."""
    texts: list[str] = _open(file).read_row_group(group, columns=["text"]).column(0).to_pylist()
    return texts


def iter_texts(documents: Artifact, split: Split) -> Iterator[str]:
    """Stream the texts of a split in order, with one row group in memory."""
    for group in range(count_row_groups(documents, split)):
        yield from read_row_group(documents_file(documents, split), group)


def iter_documents(documents: Artifact, split: Split) -> Iterator[Document]:
    """Stream the documents of a split in order, with one row group in memory."""
    parquet = _open(documents_file(documents, split))
    for group in range(parquet.metadata.num_row_groups):
        for row in parquet.read_row_group(group).to_pylist():
            yield Document(**row)


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read as documents: {error}") from error
