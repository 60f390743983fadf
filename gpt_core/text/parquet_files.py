"""Open Parquet files of any origin: errors in one sentence, sizes checked before anything is read.

A footer is a claim. The bytes that a column chunk says it unpacks to are compared with those of the
file, so that a small file cannot fill the memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.errors import DataError
from gpt_core.text.unpacking import require_plausible_size

_ERRORS = (
    pa.ArrowException, OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, OverflowError,
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
        columns: The columns that will be read; None for all.
        problem: What an error says of the file.

    Raises:
        DataError: If it is no Parquet file, or claims far more bytes than it has.
    """
    with parquet_errors(where, problem):
        parquet = pq.ParquetFile(source)
        for number in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(number)
            packed = unpacked = 0
            for index in range(group.num_columns):
                column = group.column(index)
                if columns is None or column.path_in_schema.partition(".")[0] in columns:
                    packed += max(0, column.total_compressed_size)
                    unpacked += max(0, column.total_uncompressed_size)
            require_plausible_size(unpacked, packed, f"{where}, row group {number}")
    return parquet
