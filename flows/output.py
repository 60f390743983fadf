"""Standard output and standard error that no character and no closed pipe can break."""

import errno
import io
import os
import sys
from typing import IO

from typing_extensions import override

_GONE = (errno.EPIPE, errno.EIO)  # the reader of a pipe ended; a terminal was closed


class LastingOutput(io.RawIOBase):
    """Writes to a file descriptor, and to nothing once its reader is gone.

    So a run whose output is piped into ``head`` trains to its end.

    Args:
        descriptor: Where to write.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor, self._gone = descriptor, False

    @override
    def write(self, content: object) -> int:
        data = memoryview(content).cast("B")  # type: ignore[arg-type]
        if not self._gone:
            try:
                return os.write(self._descriptor, data)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                self._gone = True
        return len(data)

    @override
    def writable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        return self._descriptor

    @override
    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def secure_output() -> None:
    """Make standard output and error survive a closed pipe and text that their encoding lacks."""
    sys.stdout = _secured(sys.stdout)
    sys.stderr = _secured(sys.stderr)


def _secured(stream: IO[str]) -> IO[str]:
    """A stream to the same place; one that is not a process's own stays as it is."""
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream.buffer, io.BytesIO):
        return stream
    try:
        descriptor = stream.fileno()
        stream.flush()
    except (OSError, ValueError):
        return stream
    unicode, strict = stream.encoding.lower().startswith("utf"), stream.errors == "strict"
    lossy = strict or (stream.errors == "surrogateescape" and not unicode)
    return io.TextIOWrapper(
        io.BufferedWriter(LastingOutput(descriptor)),
        encoding=stream.encoding,
        errors="backslashreplace" if lossy else stream.errors,
        line_buffering=True,
    )
