"""Limits of what a compressed file may unpack to: a megabyte can hold a gigabyte of one letter."""

import io
from typing import IO

from typing_extensions import Buffer, override

from gpt_core.config import current_limits
from gpt_core.errors import DataError

SMALL = 1 << 26
"""Bytes that may be unpacked from any file, however small it is."""


def require_plausible_size(unpacked: int, packed: int, where: str) -> None:
    """Refuse what unpacks to more than ``limits.unpacked_ratio`` times its size and ``SMALL``.

    Args:
        unpacked: Bytes after unpacking, so far or in all.
        packed: Bytes before.
        where: The file's name.

    Raises:
        DataError: If there are too many.
    """
    ratio = current_limits().unpacked_ratio
    if unpacked > max(SMALL, ratio * packed):
        raise DataError(
            f"{where} unpacks from {packed:,} to at least {unpacked:,} bytes, more than {ratio} "
            "times its size: if it is no mistake, raise limits.unpacked_ratio or give the "
            "unpacked file"
        )


class UnpackedStream(io.RawIOBase):
    """The bytes of a compressed file, counted while they are read.

    Args:
        stream: The file, which unpacks what is read.
        packed: Bytes of the packed file.
        where: The file's name in error messages.
        unpacked: Bytes that were unpacked before from the same archive.

    Raises:
        DataError: From a read that passes the limit of ``require_plausible_size``.
    """

    def __init__(self, stream: IO[bytes], packed: int, where: str, unpacked: int = 0) -> None:
        self._stream, self._packed, self._where = stream, packed, where
        self.unpacked = unpacked

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        chunk = self._stream.read(len(view))
        view[: len(chunk)] = chunk
        self.unpacked += len(chunk)
        require_plausible_size(self.unpacked, self._packed, self._where)
        return len(chunk)

    @override
    def seekable(self) -> bool:
        return self._stream.seekable()

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    @override
    def tell(self) -> int:
        return self._stream.tell()
