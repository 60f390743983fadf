"""Memory-map the values of a Parquet column instead of decoding them.

A column of fixed-size binary that is uncompressed, not null and not dictionary-encoded, with one
page a row group, ends in its raw values. PyArrow copies values while it decodes them, even from a
memory-mapped file, so the position of the values is found here from the footer and the page header.

References:
    Apache Parquet format, "parquet.thrift" (PageHeader); Thrift compact protocol, "Varint".
"""

import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq


def map_row_groups(
    file: Path, parquet: pq.ParquetFile, dtype: np.dtype[np.unsignedinteger]
) -> list[npt.NDArray[np.unsignedinteger]]:
    """Map the first column of each row group, or decode it where that is not possible.

    Args:
        file: The Parquet file.
        parquet: The same file, opened; its first column is fixed-size binary without nulls.
        dtype: Type of the numbers in the binary values.

    Returns:
        The numbers of each row group, shape (rows × value bytes / number bytes,), read-only.
    """
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    width = parquet.schema_arrow.field(0).type.byte_width
    groups = []
    for number in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(number)
        column = group.column(0)
        n_bytes = group.num_rows * width
        if _is_one_plain_page(mapped, column, n_bytes):
            start = column.data_page_offset + column.total_compressed_size - n_bytes
            groups.append(np.frombuffer(mapped, dtype, n_bytes // dtype.itemsize, start))
        else:
            values = parquet.read_row_group(number).column(0).to_pylist()
            groups.append(np.frombuffer(b"".join(values), dtype))
    return groups


def _is_one_plain_page(mapped: mmap.mmap, column: pq.ColumnChunkMetaData, n_bytes: int) -> bool:
    """Whether a column chunk is one page header followed by ``n_bytes`` of raw values.

    A page header is a Thrift struct: it begins with the page's type (0 for data), its uncompressed
    size and its compressed size, each after the byte 0x15 that announces the next field as an
    integer. A first page with all the bytes leaves no space for another.
    """
    size = _varint(2 * n_bytes)  # zigzag encoding: the lowest bit is the sign
    begin = column.data_page_offset
    return (
        n_bytes > 0
        and column.compression == "UNCOMPRESSED"
        and not column.has_dictionary_page
        and begin + column.total_compressed_size <= len(mapped)
        and mapped[begin : begin + 4 + 2 * len(size)] == b"\x15\0\x15" + size + b"\x15" + size
    )


def _varint(number: int) -> bytes:
    """Encode seven bits a byte, lowest first; the eighth bit says that more follow.

    Example:
        >>> _varint(300).hex()
        'ac02'
    """
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
