"""Stream the texts of a source's files, also out of gz and zip, without unpacking them to disk.

The id of a text is ``file#number``, counted from 0; in a zip ``archive:member#number``.
"""

import gzip
import logging
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.boundaries import cut_at_boundaries
from gpt_core.text.formats import read_format
from gpt_core.text.records import file_errors
from gpt_core.text.sources import is_hidden, source_files
from gpt_core.text.unpacking import UnpackedStream

_LOGGER = logging.getLogger(__name__)
_DAMAGED_ARCHIVE = (
    gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError
)  # fmt: skip


def read_texts(path: Path, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    """Stream the texts of a source, each with its id.

    Args:
        path: A file or a folder.
        reading: How files become texts.

    Yields:
        The id and the text.

    Raises:
        DataError: Naming the file, the place in it and what was expected.
    """
    for file in source_files(path):
        if not (path.is_dir() and reading.boundaries == file.name):
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            with _reading_errors(file):
                yield from _read_file(file, name, reading)


def _read_file(file: Path, name: str, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    suffix = file.suffix.lower()
    boundaries = _boundaries_of(file, reading)
    if suffix == ".zip":
        yield from _read_zip(file, name, reading)
        return
    with gzip.open(file) if suffix == ".gz" else file.open("rb") as opened:
        stream = cast(IO[bytes], opened)
        if suffix == ".gz":
            packed = UnpackedStream(stream, file.stat().st_size, str(file))
            stream = cast(IO[bytes], packed)
        if boundaries is not None:
            texts = cut_at_boundaries(stream, boundaries, str(file), reading.encoding)
        else:
            texts = read_format(stream, _inner_name(file), str(file), reading)
        yield from _with_ids(name, texts)


def _read_zip(file: Path, name: str, reading: ReadingConfig) -> Iterator[tuple[str, str]]:
    """Stream an archive's members; nothing is extracted, so a name such as ``../x`` is harmless."""
    size, unpacked = file.stat().st_size, 0
    with zipfile.ZipFile(file) as archive:
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


def _inner_name(file: Path) -> str:
    """The file name without ``.gz``."""
    return file.stem if file.suffix.lower() == ".gz" else file.name


def _boundaries_of(file: Path, reading: ReadingConfig) -> Path | None:
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
def _reading_errors(file: Path) -> Iterator[None]:
    """Translate errors of damaged archives and of the file system into a ``DataError``."""
    with file_errors(file):
        try:
            yield
        except (
            gzip.BadGzipFile,
            zipfile.BadZipFile,
            EOFError,
            zlib.error,
            lzma.LZMAError,
        ) as error:
            raise DataError(f"{file} is not an intact {file.suffix} archive: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"{file} has a member whose name is not UTF-8, as it claims to be: unpack it and "
                "give the folder"
            ) from error
        except NotImplementedError as error:
            raise DataError(f"{file} cannot be unpacked: {error}; give the files in it") from error
