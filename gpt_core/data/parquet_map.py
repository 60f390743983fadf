"""Memory-map the values of a Parquet column instead of decoding them.

A column of fixed-size binary that is uncompressed, not null and not dictionary-encoded, with one
page a row group, ends in its raw values. PyArrow copies values while it decodes them, even from a
memory-mapped file, so the position of the values is found here from the sizes of the row groups,
which follow each other, and the page headers. PyArrow is not asked where a column begins: the
process aborts if a damaged footer has statistics that do not fit.

References:
    Apache Parquet format, "parquet.thrift" (PageHeader); Thrift compact protocol, "Varint".
"""

import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

_MAGIC = b"PAR1"  # what a file begins with
_START_BYTES = 64  # bytes of a row group that tell whether it is one page


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
    groups, begin = [], len(_MAGIC)
    for number in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(number)
        n_bytes, end = group.num_rows * width, begin + group.total_byte_size
        inside = 0 < begin < end - n_bytes < end <= len(mapped)
        start = mapped[begin : begin + _START_BYTES]
        if inside and _is_one_plain_page(start, group.num_rows, n_bytes):
            groups.append(np.frombuffer(mapped, dtype, n_bytes // dtype.itemsize, end - n_bytes))
        else:
            values = parquet.read_row_group(number).column(0).to_pylist()
            groups.append(np.frombuffer(b"".join(values), dtype))
        begin = end
    return groups


def _is_one_plain_page(start: bytes, n_rows: int, n_bytes: int) -> bool:
    """Whether a row group of one column is one page header followed by ``n_bytes`` of raw values.

    A page header is a Thrift struct: its type (0 for data), its uncompressed size, its compressed
    size and a struct of the number of values and their encoding (0 for plain). Each number follows
    a byte that announces the next field. A first page with all the bytes leaves no space for
    another.

    Args:
        start: The row group's first bytes.
        n_rows: Its rows.
        n_bytes: The bytes of their values.
    """
    size, values = _varint(2 * n_bytes), _varint(2 * n_rows)  # zigzag: the lowest bit is the sign
    header = b"\x15\0\x15" + size + b"\x15" + size + b"\x2c\x15" + values + b"\x15\0"
    return n_bytes > 0 and start.startswith(header)


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
