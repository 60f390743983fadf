"""Cut a source into parts of about equal size, so that several processes can read it.

The parts follow from the files and their sizes alone. Many small files make one part; a large text
or JSON lines file is cut where a document certainly ends; any other file is read as a whole. The
documents of the parts, one after the other, are those of ``read_texts``.
"""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, cast

from typing_extensions import Buffer, override

from gpt_core.config import ReadingConfig
from gpt_core.engine import group_sizes
from gpt_core.errors import DataError, DownloadError
from gpt_core.files import parse_json_lines
from gpt_core.object_paths import Location
from gpt_core.text.formats import MAX_DOCUMENT_CHARACTERS, read_format, split_lines, text_of
from gpt_core.text.openiti import is_openiti
from gpt_core.text.reading import changed_meanwhile, read_file, text_files, unchanged
from gpt_core.text.records import file_errors
from gpt_core.text.sources import file_entry
from gpt_core.text.streams import BoundedText

PART_BYTES = 1 << 24
"""Bytes of a part; a source of fewer is not worth a second process."""
_MAX_PARTS = 4096  # of a large source, whose parts are larger
_CHUNK = 1 << 16  # bytes read at a time to find the end of a document
_N_BEHIND = 3  # bytes behind an end that are looked at

_TEXTS = frozenset({".txt", ".md", ".text", ".raw", ""})
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
# A byte-order mark is one only at the beginning of a file, so no slice may begin with it.
_LINE_END = re.compile(rb"\n(?!\xef\xbb\xbf)")
_BLANK_LINE = re.compile(rb"\n\r?\n(?!\xef\xbb\xbf)")


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive documents of one file: all, or those between two bytes of it."""

    file: Location
    name: str
    """The file's name in the ids."""

    start: int = 0
    stop: int | None = None
    """None for a file that is read as a whole."""

    version: tuple[int, int] | None = None
    """The file's bytes and the time of its last change, in nanoseconds, when it was planned."""


def plan_parts(
    path: Location, reading: ReadingConfig, part_bytes: int = PART_BYTES
) -> list[tuple[Slice, ...]]:
    """Plan the parts of a source; a part has at most one slice of a file.

    Args:
        path: A file or a folder.
        reading: How files become texts.
        part_bytes: Bytes of a part, about; more where there would be too many parts.

    Raises:
        DataError: If the source is missing or cannot be read.
    """
    files = [(file, name, _listed_version(file)) for name, file in text_files(path, reading)]
    wanted = max(part_bytes, sum(version[0] for _, _, version in files) // _MAX_PARTS)
    slices: list[Slice] = []
    sizes: list[int] = []
    for file, name, version in files:
        cuts = _cuts(file, version[0], wanted, reading)
        if len(cuts) == 2:
            slices.append(Slice(file, name, version=version))
        else:
            slices += [Slice(file, name, *ends, version) for ends in pairwise(cuts)]
        sizes += [end - start for start, end in pairwise(cuts)]
    groups = [tuple(slices[each.start : each.stop]) for each in group_sizes(sizes, wanted)]
    return [group for group in groups if group] or [()]


def read_slice(piece: Slice, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    """Stream the texts of a slice, each with its id; numbers count from the slice's beginning.

    Raises:
        DataError: If it cannot be read, or has changed since it was planned.
    """
    with _as_planned(piece):
        yield from _read_slice(piece, reading)


@contextmanager
def _as_planned(piece: Slice) -> Iterator[None]:
    """Refuse what was read if it is not what was planned: it would be kept under a wrong hash."""
    try:
        yield
    except DownloadError:
        raise  # a store that does not answer now either
    except DataError as error:
        if piece.version not in (None, _version(piece.file)):
            raise changed_meanwhile(piece.file) from error
        raise
    if piece.version not in (None, _version(piece.file)):
        raise changed_meanwhile(piece.file)


def _read_slice(piece: Slice, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    if piece.stop is None:
        yield from read_file(piece.file, piece.name, reading)
        return
    with unchanged(piece.file), file_errors(piece.file), piece.file.open("rb") as file:
        stream = cast(IO[bytes], _Range(file, piece.start, piece.stop))
        for number, text in enumerate(_read_between(stream, piece, reading)):
            yield f"{piece.name}#{number}", text


def _read_between(stream: IO[bytes], piece: Slice, reading: ReadingConfig) -> Iterator[str]:
    if piece.start == 0:
        yield from read_format(stream, piece.file.name, str(piece.file), reading)
        return
    where = f"{piece.file}, from byte {piece.start} on"
    buffered = cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, stream)))
    try:
        with BoundedText(buffered, where, reading.encoding, None) as text:
            if _form_of(piece.file, reading) == "text":
                lines = iter(lambda: text.readline(MAX_DOCUMENT_CHARACTERS), "")
                yield from split_lines(lines, reading.split)
                return
            for number, value in parse_json_lines(text, where):
                yield text_of(value, reading.text_column, f"{where}, line {number}")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not {reading.encoding}: set reading.encoding to what it was written in"
        ) from error


class _Range(io.RawIOBase):
    """The bytes of a file between two places."""

    def __init__(self, file: IO[bytes], start: int, stop: int) -> None:
        self._file, self._start, self._stop = file, start, stop
        file.seek(start)

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        chunk = self._file.read(min(len(view), max(0, self._stop - self._file.tell())))
        view[: len(chunk)] = chunk
        return len(chunk)

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._stop}
        return self._file.seek(base[whence] + offset) - self._start

    @override
    def tell(self) -> int:
        return self._file.tell() - self._start


def _cuts(file: Location, size: int, wanted: int, reading: ReadingConfig) -> list[int]:
    """The places where slices of a file begin and end, at least two."""
    cuts, end = [0], _end_of_document(file, reading)
    if end is not None and size > wanted + wanted // 2:
        with file_errors(file), file.open("rb", buffering=_CHUNK) as stream:
            if is_openiti(stream.read(_CHUNK)):  # whose texts are not those of its lines
                return [0, size]
            while size - cuts[-1] > wanted + wanted // 2:
                place = _find_end(stream, cuts[-1] + wanted, end)
                if place is None or place >= size:
                    break
                cuts.append(place)
    return [*cuts, size]


def _end_of_document(file: Location, reading: ReadingConfig) -> re.Pattern[bytes] | None:
    """The pattern that ends a document wherever it is in a file, or None if there is none."""
    form = _form_of(file, reading)
    bounded = reading.boundaries is not None and (file.parent / reading.boundaries).is_file()
    if form is None or bounded or not _is_cut_at_bytes(reading.encoding):
        return None
    if form == "jsonl":
        return _LINE_END
    return {"line": _LINE_END, "blank-line": _BLANK_LINE}.get(reading.split)


def _form_of(file: Location, reading: ReadingConfig) -> str | None:
    """``text`` or ``jsonl``, or None if a file is of another form or compressed."""
    suffix = file.suffix.lower()
    form = {**dict.fromkeys(_TEXTS, "text"), **dict.fromkeys(_JSON_LINES, "jsonl")}.get(suffix)
    if form is None or reading.format == "auto":
        return form
    return reading.format if reading.format in ("text", "jsonl") else None


def _is_cut_at_bytes(encoding: str) -> bool:
    """Whether a line end in an encoding is the byte of one and nothing else is."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        return False
    return name in ("utf-8", "ascii") or name.startswith(("cp125", "iso8859"))


def _find_end(stream: IO[bytes], place: int, end: re.Pattern[bytes]) -> int | None:
    """The first byte behind an end of a document, from a place on, or None."""
    stream.seek(place)
    held = b""
    while chunk := stream.read(_CHUNK):
        held += chunk
        found = end.search(held, 0)
        if found is not None and found.end() + _N_BEHIND <= len(held):
            return place + found.end()
        kept = found.start() if found is not None else max(0, len(held) - _N_BEHIND)
        place, held = place + kept, held[kept:]
    return None


def _listed_version(file: Location) -> tuple[int, int]:
    entry = file_entry(file)
    return entry.st_size, entry.st_mtime_ns


def _version(file: Location) -> tuple[int, int]:
    with file_errors(file):
        entry = file.stat()
        return entry.st_size, entry.st_mtime_ns
