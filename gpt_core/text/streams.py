"""Decode byte streams strictly and say where a byte cannot be decoded."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Literal, cast

from typing_extensions import override

from gpt_core.config import current_limits
from gpt_core.errors import DataError

_CHUNK = 1 << 20  # characters
_SNIFF_BYTES = 8192  # bytes searched for a NUL, which no text has
_GUESS_BYTES = 1 << 16  # around the byte that cannot be decoded
_FEW = 0.02  # of the bytes of a text in Latin letters are not ASCII
_UNKNOWN = " to what it was written in"
_WIDE_ENCODINGS = ("utf-16", "utf-32")  # in these NULs are common
_BYTE_ORDER_MARKS = {
    "utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"),
    "utf-16": (b"\xff\xfe", b"\xfe\xff"),
}


class BoundedText(io.TextIOWrapper):
    """A text file that is never read into memory beyond a limit by one line or one ``read``.

    Args:
        buffer: The bytes.
        where: The file's name in error messages.
        codec: The encoding; bytes that it cannot decode are an error.
        newline: As in ``open``.
        errors: As in ``open``.
    """

    def __init__(
        self,
        buffer: IO[bytes],
        where: str,
        codec: str,
        newline: str | None,
        errors: str = "strict",
    ) -> None:
        super().__init__(buffer, encoding=codec, errors=errors, newline=newline)
        self._where, self._lines, self._limits = where, 0, current_limits()

    @override
    def __next__(self) -> str:  # type: ignore[override]  # of bytes in the common base class
        limit = self._limits.line_characters
        line = self.readline(limit + 1)
        if not line:
            raise StopIteration
        self._lines += 1
        if len(line) > limit:
            raise DataError(
                f"{self._where}, line {self._lines} is longer than {limit:,} characters, the most "
                "that a record may have: cut it into several, or raise limits.line_characters"
            )
        return line

    def read_all(self) -> str:
        """Read a file that cannot be streamed.

        Raises:
            DataError: If it is longer than ``limits.array_characters``.
        """
        parts, size, limit = [], 0, self._limits.array_characters
        while part := self.read(_CHUNK):  # to ask for all at once would allocate it at once
            parts.append(part)
            size += len(part)
            if size > limit:
                raise DataError(
                    f"{self._where} is longer than {limit:,} characters, and a JSON array is read "
                    "at once: write it as JSON lines, or raise limits.array_characters"
                )
        return "".join(parts)


@contextmanager
def open_text(
    stream: IO[bytes],
    where: str,
    encoding: str,
    *,
    newline: str | None = None,
    setting: str | None = None,
    errors: Literal["strict", "surrogateescape"] = "strict",
) -> Iterator[BoundedText]:
    """Decode a stream strictly and drop its byte-order mark.

    Args:
        stream: The bytes.
        where: The stream's name in error messages.
        encoding: A codec name that Python knows, or ``auto`` for UTF-8, or UTF-16 or UTF-32 with a
            byte-order mark.
        newline: As in ``open``: None translates all line ends to LF, ``""`` leaves them.
        setting: The setting that error messages advise to change, such as ``reading.encoding``;
            None advises to save the file as UTF-8.
        errors: ``surrogateescape`` lets bytes pass that cannot be decoded, as halves of surrogate
            pairs, so that the reader can name the row; UTF-16 and UTF-32 are strict all the same.

    Raises:
        DataError: If the stream is binary or in another encoding, naming the byte and its line.
    """
    buffered = io.BufferedReader(cast(io.RawIOBase, stream))
    start = buffered.peek(_SNIFF_BYTES)[:_SNIFF_BYTES]
    if encoding == "auto":
        encoding = _marked_encoding(start) or "utf-8"
    _refuse_binary(start, where, encoding, setting)
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    advice = f"set {setting}" if setting else "save it as UTF-8"
    with BoundedText(cast(IO[bytes], buffered), where, codec, newline, errors) as text:
        try:
            yield text
        except UnicodeDecodeError as error:
            offset = buffered.tell() - len(error.object) + error.start
            if setting:
                likely = _guess_encoding(buffered, offset)
                advice += f"={likely}, which it may be" if likely else _UNKNOWN
            raise DataError(
                f"{where} is not {encoding}: byte 0x{error.object[error.start]:02x} at offset "
                f"{offset} (line {_line_at(buffered, offset)}) cannot be decoded; {advice}"
            ) from error
        except UnicodeError as error:
            raise DataError(f"{where} is not {encoding}: {error}; {advice}") from error


def _refuse_binary(start: bytes, where: str, encoding: str, setting: str | None) -> None:
    """Raise if the first bytes contain a NUL and the encoding does not."""
    if b"\0" not in start or encoding.lower().replace("_", "-").startswith(_WIDE_ENCODINGS):
        return
    wide = _marked_encoding(start)
    if wide is not None:
        advice = f"set {setting}={wide}" if setting else "save it as UTF-8"
        raise DataError(f"{where} is {wide} text, not {encoding}: {advice}")
    raise DataError(f"{where} is a binary file, not text: its first bytes contain NUL")


def _marked_encoding(start: bytes) -> str | None:
    """The encoding whose byte-order mark a file begins with."""
    for wide, marks in _BYTE_ORDER_MARKS.items():
        if start.startswith(marks):
            return wide
    return None


def _guess_encoding(buffered: io.BufferedIOBase, offset: int) -> str | None:
    """The likely encoding of a file with a byte, at an offset, that its encoding does not have.

    None if nothing fits, or without charset-normalizer, which the core alone does not need.
    """
    buffered.seek(max(0, offset - _GUESS_BYTES // 2))
    content = buffered.read(_GUESS_BYTES)
    if sum(byte > 127 for byte in content) < _FEW * len(content):
        return "cp1252"  # the encodings of Latin letters hardly differ; this is the most common
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return None
    best = from_bytes(content).best()
    if best is None or not best.coherence:
        return None
    return "cp1252" if "cp1252" in best.could_be_from_charset else best.encoding.replace("_", "-")


def _line_at(buffered: io.BufferedIOBase, offset: int) -> int:
    """The number of the line, counted from 1, that contains a byte offset."""
    buffered.seek(0)
    line = 1
    while offset > 0 and (chunk := buffered.read(min(offset, 1 << 20))):
        line += chunk.count(b"\n")
        offset -= len(chunk)
    return line
