"""Stream the pages of web archives: WARC files, and the WET files of Common Crawl.

Of the records of an archive, those with the text of a page are read: answers with status 200 and
saved resources that are HTML or plain text, and conversions to plain text.
"""

import io
import re
from collections.abc import Iterator
from typing import IO, Protocol

from typing_extensions import Buffer, override

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.extras import require_extra
from gpt_core.text.web_pages import (
    declared_encoding,
    extract_text,
    is_too_deep,
    read_bounded,
)

_HTML = ("text/html", "application/xhtml+xml")
_PLAIN = "text/plain"
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


def read_warc(stream: IO[bytes], where: str, reading: ReadingConfig) -> Iterator[str]:
    """Stream the texts of a web archive.

    A page is decoded by the encoding that it declares, else a probable one, and bytes that are
    wrong in it become U+FFFD; of a page that is nested too deep the text is empty: a crawl has
    pages of all kinds.

    Args:
        stream: The archive's bytes, decompressed.
        where: Its name in error messages.
        reading: How much of a page is read.

    Raises:
        DataError: If a record is damaged or cut off, or a page is too long; or if the package that
            reads archives is missing.
    """
    archives = require_extra("warcio.archiveiterator", f"{where}: a web archive")
    failures = require_extra("warcio.exceptions", where)
    tail = _Tail(stream)
    buffered = io.BufferedReader(tail)
    if not buffered.peek(5).startswith(b"WARC/"):
        raise DataError(f"{where} is not a web archive: it does not begin with WARC/")
    records = iter(archives.ArchiveIterator(buffered))
    number = 0
    while True:
        place = f"{where}, record {number}"
        try:
            record = next(records, None)
            if record is None:
                if not tail.end.endswith((b"\r\n\r\n", b"\n\n")):
                    raise DataError(
                        f"{where} is cut off at record {number - 1}: fetch the file again"
                    )
                return
            text = _text_of(record, place, reading)
            _require_complete(record, place)
        except (failures.ArchiveLoadFailed, ValueError, LookupError, AttributeError) as error:
            raise DataError(f"{place} is damaged: {str(error) or type(error).__name__}") from error
        if text is not None:
            yield text
        number += 1


class _Headers(Protocol):
    def get_header(self, name: str) -> str | None: ...
    def get_statuscode(self) -> str: ...


class _Record(Protocol):
    """The part of warcio's records that is read."""

    rec_type: str
    rec_headers: _Headers
    http_headers: _Headers | None
    raw_stream: IO[bytes]

    def content_stream(self) -> IO[bytes]: ...


class _Tail(io.RawIOBase):
    """A stream whose last bytes are known: what ends a record also ends a complete archive."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.end = stream, b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.end = (self.end + data[-4:])[-4:]
        return len(data)


def _text_of(record: _Record, where: str, reading: ReadingConfig) -> str | None:
    """The text of a record; None if it has no page."""
    headers: _Headers | None = record.rec_headers
    if record.rec_type == "response":
        headers = record.http_headers
        if headers is None or headers.get_statuscode() != "200":
            return None
    elif record.rec_type not in ("resource", "conversion"):
        return None
    content_type = (headers and headers.get_header("Content-Type")) or ""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (*_HTML, _PLAIN):
        return None
    data = read_bounded(record.content_stream(), where)
    named = _CHARSET.search(content_type)
    text = _decode(data, named[1] if named else None)
    if kind == _PLAIN:
        return text
    return "" if is_too_deep(text) else extract_text(text, where, main=reading.html == "main")


def _decode(data: bytes, named: str | None) -> str:
    for encoding in (named, declared_encoding(data), "utf-8"):
        try:
            if encoding:
                return data.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    detect = require_extra("resiliparse.parse.encoding", "the encoding of a page")
    encoding = detect.detect_encoding(data)
    try:
        return data.decode(encoding, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _require_complete(record: _Record, where: str) -> None:
    """Refuse a record that has fewer bytes than it says."""
    stream = record.raw_stream
    while stream.read(1 << 20):
        pass
    missing = getattr(stream, "limit", 0)
    if missing:
        raise DataError(
            f"{where} is cut off: {missing:,} of its bytes are missing; fetch the file again"
        )
