"""Open Parquet files of any origin: errors in one sentence, sizes checked before anything is read.

A footer is a claim. The bytes that a row group says it unpacks to are compared with those of the
file, so that a small file cannot fill the memory.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.errors import DataError
from gpt_core.text.unpacking import require_plausible_size

_BATCH_BYTES = 1 << 26
_MAX_BATCH_ROWS = 1024
_ERRORS = (
    pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError,
)  # fmt: skip


@contextmanager
def parquet_errors(where: str, problem: str = "is not an intact Parquet file") -> Iterator[None]:
    """Translate what a damaged file makes PyArrow raise.

    Args:
        where: The file's name in the message.
        problem: What is wrong with the file.

    Raises:
        DataError: Instead of an error of PyArrow or of the values that it returned.
    """
    try:
        yield
    except _ERRORS as error:
        first_line = str(error).strip().partition("\n")[0]
        raise DataError(f"{where} {problem}: {first_line}") from error


def open_parquet(
    source: Path | IO[bytes],
    where: str,
    columns: Sequence[str] | None = None,
    problem: str = "is not an intact Parquet file",
) -> pq.ParquetFile:
    """Open a Parquet file whose columns unpack to a plausible size.

    Args:
        source: The file, or its bytes.
        where: Its name in error messages.
        columns: The columns that ``iter_rows`` will read; None for all, in another way.
        problem: What an error says of the file.

    Raises:
        DataError: If it is no Parquet file, or claims far more bytes than it has.
    """
    with parquet_errors(where, problem):
        parquet = pq.ParquetFile(source)
        size = _size(source)
        for number in range(parquet.metadata.num_row_groups):
            # Not the sizes of its columns: to ask a damaged footer for these aborts the process.
            unpacked = int(parquet.metadata.row_group(number).total_byte_size)
            require_plausible_size(unpacked, size, f"{where}, row group {number}")
        if columns is None:
            return parquet
        texts = _texts(parquet, columns)
        return pq.ParquetFile(source, metadata=parquet.metadata, read_dictionary=texts)


def _size(source: Path | IO[bytes]) -> int:
    """The bytes of a file; a stream is left at its start."""
    if isinstance(source, Path):
        return source.stat().st_size
    size = source.seek(0, io.SEEK_END)
    source.seek(0)
    return size


def iter_rows(
    parquet: pq.ParquetFile, columns: Sequence[str], where: str
) -> Iterator[dict[str, object]]:
    """Stream the rows of a Parquet file in batches of bounded memory.

    A text that many rows have is stored once, in a dictionary. It is read as one object too: a file
    of a few kilobytes would become gigabytes otherwise.

    Args:
        parquet: From ``open_parquet``.
        columns: The columns to read; there is at least one.
        where: The file's name in error messages.

    Yields:
        The values of each row by column.

    Raises:
        DataError: If the file is damaged.
    """
    batches = parquet.iter_batches(batch_size=_batch_rows(parquet), columns=list(columns))
    while True:
        with parquet_errors(where):
            batch = next(batches, None)
            if batch is None:
                return
            values = [_values(batch.column(name)) for name in columns]
        for row in zip(*values, strict=True):
            yield dict(zip(columns, row, strict=True))


def _batch_rows(parquet: pq.ParquetFile) -> int:
    """Rows that unpack to about ``_BATCH_BYTES``."""
    metadata = parquet.metadata
    groups = range(metadata.num_row_groups)
    n_bytes = max(1, sum(int(metadata.row_group(i).total_byte_size) for i in groups))
    return max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES * int(metadata.num_rows) // n_bytes))


def _values(column: pa.Array) -> list[object]:
    """The values of a column; rows of one dictionary entry have the same object."""
    if not pa.types.is_dictionary(column.type):
        values: list[object] = column.to_pylist()
        return values
    entries = column.dictionary.to_pylist()
    return [None if index is None else entries[index] for index in column.indices.to_pylist()]


def _texts(parquet: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    """The columns of text, which can be read as a dictionary."""
    return [
        each.name
        for each in parquet.schema_arrow
        if each.name in columns
        and (pa.types.is_string(each.type) or pa.types.is_large_string(each.type))
    ]
