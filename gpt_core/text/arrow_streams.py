"""Stream the rows of Arrow files, such as those of ``datasets.Dataset.save_to_disk``.

References:
    Apache Arrow, Columnar Format, "Serialization and Interprocess Communication".
"""

import io
import struct
from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
from typing_extensions import override

from gpt_core.config import current_limits
from gpt_core.errors import DataError
from gpt_core.text.parquet_files import parquet_errors
from gpt_core.text.unpacking import require_plausible_size

_FILE_MAGIC = b"ARROW1\0\0"  # an Arrow file is this, a stream, and an index of the stream
_PREFIX = 8  # most bytes before the metadata of a message
_NO_LENGTH = b"\0\0\0\0"  # of a message: the end of the stream
_ROWS = 256  # that become Python objects at a time
_PROBLEM = "is not an intact Arrow file"
_DICTIONARY, _RECORDS = 2, 3  # kinds of messages


class ArrowStream:
    """The rows of an Arrow file or stream, with one record batch in memory.

    Args:
        stream: The file's bytes.
        where: Its name in error messages.

    Raises:
        DataError: If it is not such a file.
    """

    def __init__(self, stream: IO[bytes], where: str) -> None:
        start = stream.read(len(_FILE_MAGIC))
        rest = start if start != _FILE_MAGIC else b""
        self._where = where
        self._bytes = _MessageBytes(stream, rest, where)
        with parquet_errors(where, _PROBLEM):
            self._reader = pa.ipc.open_stream(self._bytes)
        self.names: list[str] = self._reader.schema.names

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, object]]:
        """Stream the values of each row by column.

        Raises:
            DataError: If the file is damaged or cut off.
        """
        while True:
            with parquet_errors(self._where, _PROBLEM):
                batch = next(self._reader, None)
            if batch is None:
                break
            for start in range(0, batch.num_rows, _ROWS):
                with parquet_errors(self._where, _PROBLEM):
                    rows = batch.slice(start, _ROWS).select(columns).to_pylist()
                yield from rows
        if not self._bytes.has_ended:
            raise DataError(
                f"{self._where} {_PROBLEM}: it has no end, so rows may be missing; copy it again"
            )


class _MessageBytes(io.RawIOBase):
    """The bytes of a stream of messages, each checked before memory is taken for it.

    Args:
        stream: The file.
        start: Bytes that were read from it.
        where: Its name in error messages.
    """

    def __init__(self, stream: IO[bytes], start: bytes, where: str) -> None:
        self._stream, self._start, self._where = stream, start, where
        self._limit = current_limits().array_characters
        self._metadata = b""
        self.has_ended = False

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1) -> bytes:
        """Read a prefix, the metadata of a message, or its body."""
        if size > self._limit and not self._metadata:
            raise ValueError(f"a message that says to be described by {size:,} bytes")
        if size > self._limit:
            raise DataError(
                f"{self._where} has a batch of {size:,} bytes, which is read at once: write it in "
                "smaller batches, or raise limits.array_characters"
            )
        data, self._start = self._start[:size], self._start[size:]
        data += self._stream.read(size - len(data))
        self.has_ended = size <= _PREFIX and data.endswith(_NO_LENGTH)
        if self._metadata:
            unpacked = _unpacked_bytes(self._metadata, data)
            require_plausible_size(unpacked, len(data), f"{self._where}, a batch")
        self._metadata = data if size > _PREFIX and not self._metadata else b""
        return data


def _unpacked_bytes(metadata: bytes, body: bytes) -> int:
    """The bytes that the compressed buffers of a batch say they unpack to."""
    try:
        message = _Table(metadata, *struct.unpack_from("<I", metadata))
        kind = metadata[message.field(1)]
        if kind not in (_DICTIONARY, _RECORDS):
            return 0
        batch = message.table(2)
        if kind == _DICTIONARY:
            batch = batch.table(1)
        if not batch.field(3):  # no compression
            return 0
        vector = batch.follow(2)
        (count,) = struct.unpack_from("<I", metadata, vector)
        total = 0
        for number in range(count):
            offset, length = struct.unpack_from("<qq", metadata, vector + 4 + 16 * number)
            if length:
                total += max(0, *struct.unpack_from("<q", body, offset))
    except (struct.error, IndexError):
        return 0  # PyArrow says what is wrong
    return total


class _Table:
    """A table of a FlatBuffer, the encoding of Arrow's metadata."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._names = place - struct.unpack_from("<i", data, place)[0]

    def field(self, number: int) -> int:
        """The place of a field; 0 if the table lacks it."""
        (size,) = struct.unpack_from("<H", self._data, self._names)
        if 4 + 2 * number >= size:
            return 0
        (offset,) = struct.unpack_from("<H", self._data, self._names + 4 + 2 * number)
        return self._place + offset if offset else 0

    def follow(self, number: int) -> int:
        """The place that a field refers to."""
        place = self.field(number)
        return place + int(struct.unpack_from("<I", self._data, place)[0])

    def table(self, number: int) -> "_Table":
        return _Table(self._data, self.follow(number))
