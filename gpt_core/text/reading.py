"""Stream the texts of a source's files, also out of gz, zst and zip, without unpacking to disk.

The id of a text is ``file#number``, counted from 0; in a zip ``archive:member#number``. Files are
read in the order of the bytes of their names.
"""

import gzip
import logging
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from typing import IO, cast

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError, DownloadError
from gpt_core.object_paths import Location, ObjectPath, ObjectVersion
from gpt_core.text.boundaries import cut_at_boundaries
from gpt_core.text.dataset_folders import without_descriptions
from gpt_core.text.formats import read_format
from gpt_core.text.records import file_errors
from gpt_core.text.sources import file_entry, is_hidden, named_files
from gpt_core.text.unpacking import UnpackedStream
from gpt_core.text.zstandard_files import ZstandardFile

_LOGGER = logging.getLogger(__name__)
_PACKED = (".gz", ".zst")
_DAMAGED_ARCHIVE = (
    gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError
)  # fmt: skip


def read_texts(path: Location, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    """Stream the texts of a source, each with its id.

    Args:
        path: A file or a folder.
        reading: How files become texts.

    Yields:
        The id and the text.

    Raises:
        DataError: Naming the file, the place in it and what was expected.
    """
    for name, file in text_files(path, reading):
        yield from read_file(file, name, reading)


def text_files(path: Location, reading: ReadingConfig) -> list[tuple[str, Location]]:
    """List the files of a source that hold texts, with their names, in reading order.

    Raises:
        DataError: If there are none, or one of them cannot be read.
    """
    alone = path.is_file()
    files = [(n, f) for n, f in named_files(path) if alone or f.name != reading.boundaries]
    return without_descriptions(files)


def read_file(file: Location, name: str, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    """Stream the texts of one file of a source, each with its id.

    Args:
        file: The file.
        name: Its name in the ids.
        reading: How it becomes texts.

    Raises:
        DataError: If it cannot be read, or changes meanwhile.
    """
    with unchanged(file), _reading_errors(file):
        yield from _read_file(file, name, reading)


@contextmanager
def unchanged(file: Location) -> Iterator[None]:
    """Read a file in a block.

    Raises:
        DataError: If the file changes meanwhile.
    """
    before = _state_of(file)
    try:
        yield
    except DownloadError:
        raise  # a store that does not answer now either
    except DataError as error:
        if _state_of(file) not in (before, None):
            raise changed_meanwhile(file) from error
        raise
    if _state_of(file) != before:
        raise changed_meanwhile(file)


def _state_of(file: Location) -> tuple[int, ...] | ObjectVersion | None:
    """Everything that changes with a file's content; None for a file that is not there.

    Raises:
        DataError: If an object is not there or its store does not answer.
    """
    if isinstance(file, ObjectPath):
        return file.version()
    try:
        entry = file.stat()
    except OSError:
        return None  # to open it says why
    return entry.st_dev, entry.st_ino, entry.st_size, entry.st_mtime_ns


def changed_meanwhile(file: Location) -> DataError:
    """The error for a file that something else writes to."""
    return DataError(
        f"{file} changed while it was read: run the command again when nothing writes to it"
    )


def _read_file(file: Location, name: str, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    suffix = file.suffix.lower()
    boundaries = _boundaries_of(file, reading)
    if suffix == ".zip":
        yield from _read_zip(file, name, reading)
        return
    with _opened(file) as stream:
        if suffix in _PACKED:
            packed = UnpackedStream(stream, file_entry(file).st_size, str(file))
            stream = cast(IO[bytes], packed)
        if boundaries is not None:
            texts = cut_at_boundaries(stream, boundaries, str(file), reading.encoding)
        else:
            texts = read_format(stream, _inner_name(file), str(file), reading)
        yield from _with_ids(name, texts)


@contextmanager
def _opened(file: Location) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked."""
    suffix = file.suffix.lower()
    if suffix == ".zst":
        with closing(ZstandardFile(file)) as unpacked:
            yield cast(IO[bytes], unpacked)
        return
    with file.open("rb") as stream:
        yield cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if suffix == ".gz" else stream


def _read_zip(file: Location, name: str, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    """Stream an archive's members; nothing is extracted, so a name such as ``../x`` is harmless."""
    size, unpacked = file_entry(file).st_size, 0
    with file.open("rb") as stored, zipfile.ZipFile(stored) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            inner = PurePosixPath(member.filename)
            if (
                not inner.name
                or member.is_dir()
                or is_hidden(inner)
                or "__MACOSX" in inner.parts[:1]
            ):
                continue
            where = f"{file}:{member.filename}"
            if member.flag_bits & 1:
                raise DataError(f"{where} is encrypted: unpack the archive and give the folder")
            with archive.open(member) as opened:
                # All members are counted together: they may share one place in the archive.
                stream = UnpackedStream(opened, size, where, unpacked)
                texts = read_format(cast(IO[bytes], stream), inner.name, where, reading)
                yield from _with_ids(f"{name}:{member.filename}", texts)
                unpacked = stream.unpacked


def _with_ids(name: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        yield f"{name}#{number}", text


def _inner_name(file: Location) -> str:
    """The file name without ``.gz`` or ``.zst``."""
    return file.stem if file.suffix.lower() in _PACKED else file.name


def _boundaries_of(file: Location, reading: ReadingConfig) -> Location | None:
    """The table of boundaries in the file's folder, or None."""
    if reading.boundaries is None:
        return None
    table = file.parent / reading.boundaries
    if table.is_file() and file.suffix.lower() != ".zip":
        return table
    _LOGGER.warning(
        "%s is read by reading.split=%s: there is no %s beside it", file, reading.split, table.name
    )
    return None


@contextmanager
def _reading_errors(file: Location) -> Iterator[None]:
    """Translate errors of damaged archives and of the file system into a ``DataError``."""
    with file_errors(file):
        try:
            yield
        except _DAMAGED_ARCHIVE as error:
            raise DataError(f"{file} is not an intact {file.suffix} archive: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"{file} has a member whose name is not UTF-8, as it claims to be: unpack it and "
                "give the folder"
            ) from error
        except NotImplementedError as error:
            raise DataError(f"{file} cannot be unpacked: {error}; give the files in it") from error
