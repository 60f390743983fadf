"""Documents: identity, train/validation/test split, and storage as Parquet.

A documents artifact holds ``train.parquet``, ``validation.parquet`` and ``test.parquet`` with the
columns ``id``, ``text`` and ``source``; in one of a large source each split is a folder of parts,
``train/part-00000.parquet`` and so on. Row groups are the unit of parallel work.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import Artifact
from gpt_core.config import ReadingConfig
from gpt_core.object_paths import Location
from gpt_core.text.parquet_files import open_parquet, parquet_errors
from gpt_core.text.reading import read_texts

Split = Literal["train", "validation", "test"]
"""The name of a split."""
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""The names of all splits, in the order in which they are written."""
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string())])
_ROW_GROUP_CHARACTERS = 1 << 20  # evens out the work of row groups, however long documents are
_UNREADABLE = "cannot be read as documents"
_ROW_GROUP_DOCUMENTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its id and the name of its source."""

    id: str
    text: str
    source: str


def read_documents(path: Location, reading: ReadingConfig) -> Iterator[Document]:
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
        compression: ``zstd``, or ``lz4`` for a file that is soon read and removed.
    """

    def __init__(self, path: Path, compression: Literal["zstd", "lz4"] = "zstd") -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression=compression)
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


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of a split: its file, its number in it, and its uncompressed bytes."""

    file: Path
    number: int
    n_bytes: int


def documents_files(documents: Artifact, split: Split) -> list[Path]:
    """The Parquet files of one split in their order; a file that is missing is listed as well."""
    parts = sorted((documents.directory / split).glob("part-*.parquet"))
    return parts or [documents.directory / f"{split}.parquet"]


def list_row_groups(documents: Artifact, split: Split) -> list[RowGroup]:
    """The row groups of a split in their order.

    Raises:
        DataError: If a file of the split is missing or damaged.
    """
    groups = []
    for file in documents_files(documents, split):
        footer = _open(file).metadata
        for number in range(footer.num_row_groups):
            groups.append(RowGroup(file, number, int(footer.row_group(number).total_byte_size)))
    return groups


def read_row_group(file: Path, group: int) -> list[str]:
    """Read the texts of one row group.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return [row["text"] for row in _read_rows(_open(file), file, group, ["text"])]


def read_row_group_documents(file: Path, group: int) -> list[Document]:
    """Read the documents of one row group.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return [Document(**row) for row in _read_rows(_open(file), file, group, SCHEMA.names)]


def iter_texts(documents: Artifact, split: Split) -> Iterator[str]:
    """Stream the texts of a split in order, with one row group in memory.

    Raises:
        DataError: If a file of the split is missing or damaged.
    """
    for file in documents_files(documents, split):
        for row in _iter_rows(file, ["text"]):
            yield row["text"]


def iter_documents(documents: Artifact, split: Split) -> Iterator[Document]:
    """Stream the documents of a split in order, with one row group in memory.

    Raises:
        DataError: If a file of the split is missing or damaged.
    """
    for file in documents_files(documents, split):
        yield from read_document_file(file)


def read_document_file(file: Path) -> Iterator[Document]:
    """Stream the documents of one file of a ``DocumentWriter``, with one row group in memory.

    Raises:
        DataError: If it is missing or damaged.
    """
    for row in _iter_rows(file, SCHEMA.names):
        yield Document(**row)


def _iter_rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    parquet = _open(file)
    for group in range(parquet.metadata.num_row_groups):
        yield from _read_rows(parquet, file, group, columns)


def _open(file: Path) -> pq.ParquetFile:
    return open_parquet(file, str(file), problem=_UNREADABLE)


def _read_rows(
    parquet: pq.ParquetFile, file: Path, group: int, columns: Sequence[str]
) -> list[dict[str, str]]:
    """The rows of a row group, each with a text in each column."""
    with parquet_errors(str(file), _UNREADABLE):
        rows: list[dict[str, str]] = parquet.read_row_group(group, columns=columns).to_pylist()
        for row in rows:
            if not all(isinstance(row.get(column), str) for column in columns):
                raise ValueError(f"row group {group} has a row without {' and '.join(columns)}")
    return rows
