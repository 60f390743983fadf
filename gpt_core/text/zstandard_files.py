"""Read files compressed with Zstandard, in any number of frames."""

import io

import pyarrow as pa
from typing_extensions import Buffer, override

from gpt_core.errors import DataError
from gpt_core.object_paths import Location

_CHUNK = 1 << 20


class ZstandardFile(io.RawIOBase):
    """The unpacked bytes of a ``.zst`` file; going back reads it from its beginning.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be opened.
        DataError: From a read, if it is damaged, cut off, or needs a window of more than 128 MiB.
    """

    def __init__(self, path: Location) -> None:
        self._path, self._position = path, 0
        self._file = path.open("rb")
        self._stream = pa.CompressedInputStream(self._file, "zstd")

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._stream.read(len(view))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            advice = ""
            if "too much memory" in reason:
                advice = (
                    "; it was packed with a window of more than 128 MiB: unpack it with zstd -d"
                )
                advice += " --long=31 and give the unpacked file"
            raise DataError(
                f"{self._path} is not an intact .zst archive: {reason}{advice}"
            ) from error
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        target = {io.SEEK_SET: offset, io.SEEK_CUR: self._position + offset}.get(whence)
        if target is not None and target < self._position:
            self._file = self._path.open("rb")  # the stream closes the one before
            self._stream, self._position = pa.CompressedInputStream(self._file, "zstd"), 0
        while target is None or self._position < target:
            wanted = _CHUNK if target is None else min(_CHUNK, target - self._position)
            if not self.read(wanted):
                break
        return self._position

    @override
    def tell(self) -> int:
        return self._position

    @override
    def close(self) -> None:
        self._file.close()
        super().close()
