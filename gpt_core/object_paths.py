"""Objects of a store, used as the files of a disk are: named, listed, and read at any place.

An ``ObjectPath`` has those attributes of ``pathlib.Path`` that readers use, so that a reader of a
file reads an object too. Its stream asks the server for ranges of bytes: an object is never copied
as a whole, however large it is. Of an address in another process only the text is sent.
"""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, TYPE_CHECKING, Literal, TypeAlias, cast

from typing_extensions import Buffer, override

from gpt_core.errors import DataError, DownloadError
from gpt_core.uris import Uri, missing_bucket, open_filesystem, parse_uri, storage_errors

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

_FIRST_WINDOW, _LAST_WINDOW = 1 << 16, 1 << 22
"""Bytes of the first request of a stream and, when it is read on, of the last."""
_NS = 1_000_000_000
_GONE = "is gone since it was listed: put it back, or run the command again"
_ENTITY_TAGS = ("ETag", "etag")  # of S3 and of Google


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """The size and the time of an object, under the names of ``os.stat_result``."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """Everything that changes with an object's content."""

    size: int
    modified: str
    tag: str
    """The ETag, empty if the server has none."""


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """An object, or the folder of the objects whose keys begin with its own and a slash.

    Every method that asks the server raises a ``DataError``, of which a ``DownloadError`` may be
    gone at the next try.
    """

    uri: Uri
    listed: ObjectEntry | None = field(default=None, compare=False)
    """Size and time in the list that the object was found in; None for one that is only named."""

    def __str__(self) -> str:
        return str(self.uri)

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(
            Uri(self.uri.scheme, self.uri.bucket, f"{self.uri.key}/{name}".strip("/"))
        )

    @property
    def name(self) -> str:
        """The last part of the key; the bucket's name if there is none."""
        return self.uri.key.rpartition("/")[2] or self.uri.bucket

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> "ObjectPath":
        """The folder; that of a bucket is itself."""
        return ObjectPath(Uri(self.uri.scheme, self.uri.bucket, self.uri.key.rpartition("/")[0]))

    @property
    def parents(self) -> list["ObjectPath"]:
        """The folders above, the nearest first."""
        found, place = list["ObjectPath"](), self
        while place.uri.key:
            place = place.parent
            found.append(place)
        return found

    def relative_to(self, base: "ObjectPath") -> PurePosixPath:
        """The rest of the key behind that of a folder."""
        own, top = (PurePosixPath("/", each.uri.bucket, each.uri.key) for each in (self, base))
        return own.relative_to(top)

    def resolve(self) -> "ObjectPath":
        """Itself: an address is absolute."""
        return self

    def exists(self) -> bool:
        """Whether there is such an object or folder."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is an object of this key, or was one when it was listed."""
        return self.listed is not None or isinstance(self._find(), ObjectEntry)

    def is_dir(self) -> bool:
        """Whether there are objects in a folder of this key."""
        return self.listed is None and self._find() == "folder"

    def find(self) -> "ObjectPath | None":
        """The object as a list has it; None if there is none of this key."""
        found = self._find()
        return ObjectPath(self.uri, found) if isinstance(found, ObjectEntry) else None

    def is_symlink(self) -> bool:
        """Never: stores have no links."""
        return False

    def stat(self) -> ObjectEntry:
        """The size and the time as they are now."""
        found = self._find()
        if not isinstance(found, ObjectEntry):
            raise self._gone()
        return found

    def version(self) -> ObjectVersion:
        """The object's version as it is now; one request to S3."""
        files = open_filesystem(self.uri)
        with self._errors(), files.open_input_stream(self.uri.path) as file:
            found = file.metadata() or {}
        tag = next((found[name] for name in _ENTITY_TAGS if found.get(name)), b"")
        if found.get("Content-Length") and found.get("Last-Modified"):
            size, modified = int(found["Content-Length"]), found["Last-Modified"].decode()
        else:
            entry = self.stat()
            size, modified = entry.st_size, str(entry.st_mtime_ns)
        return ObjectVersion(size, modified, tag.decode().strip('"'))

    def open(self, mode: Literal["rb"] = "rb", buffering: int = -1) -> IO[bytes]:
        """Open the object for reading at any place.

        Args:
            mode: As of ``Path.open``.
            buffering: Bytes of a request, if it is positive; else they grow while it is read on.
        """
        assert mode == "rb"
        stream = ObjectStream(self, buffering if buffering > 0 else None)
        return cast(IO[bytes], io.BufferedReader(stream, _FIRST_WINDOW))

    def iterdir(self) -> "Iterator[ObjectPath]":
        """The objects and folders of this folder, in the order of their keys."""
        return list_objects(self, recursive=False)

    def _find(self) -> ObjectEntry | Literal["folder", "none"]:
        found = self._ask()
        if found == "no bucket":
            raise missing_bucket(self.uri)
        return found

    def _ask(self) -> ObjectEntry | Literal["folder", "none", "no bucket"]:
        from pyarrow.fs import FileType

        files = open_filesystem(self.uri)
        with self._errors():
            found = files.get_file_info(self.uri.path)
        if found.type == FileType.File:
            return _entry_of(found)
        if found.type == FileType.Directory:
            return "folder"
        with suppress(DataError):  # some may read objects but not ask for the bucket
            with storage_errors(self.uri):
                bucket = files.get_file_info(self.uri.bucket)
            if bucket.type == FileType.NotFound:
                return "no bucket"
        return "none"

    def _errors(self) -> AbstractContextManager[None]:
        return storage_errors(self.uri, _GONE) if self.listed else storage_errors(self.uri)

    def _gone(self) -> DataError:
        return DataError(f"{self} {_GONE if self.listed else 'does not exist'}")


Location: TypeAlias = Path | ObjectPath
"""A file or folder on a disk or in a store."""


def find_location(text: str) -> Location:
    """The path or the object that an address stands for.

    Raises:
        ConfigError: If it is no address that can be opened.
    """
    uri = parse_uri(text)
    return Path(uri.key) if uri.scheme == "file" else ObjectPath(uri)


def relative_path(file: Location, folder: Location) -> PurePath:
    """The path of a file in a folder, both on a disk or in one bucket."""
    if isinstance(file, ObjectPath):
        return file.relative_to(cast(ObjectPath, folder))
    return file.relative_to(cast(Path, folder))


def list_objects(folder: ObjectPath, *, recursive: bool = True) -> Iterator[ObjectPath]:
    """List the objects in a folder in the order of their keys.

    Args:
        folder: The folder.
        recursive: Also those in the folders in it; otherwise these are given themselves.

    Raises:
        DataError: If the bucket is missing or cannot be listed.
    """
    from pyarrow.fs import FileSelector, FileType

    files = open_filesystem(folder.uri)
    with storage_errors(folder.uri):
        try:
            found = files.get_file_info(FileSelector(folder.uri.path, recursive=recursive))
        except FileNotFoundError:  # of the folder; a missing bucket is another error
            return
    scheme, bucket = folder.uri.scheme, folder.uri.bucket
    for info in sorted(found, key=lambda info: info.path.encode()):
        uri = Uri(scheme, bucket, info.path.partition("/")[2])
        if info.type == FileType.File:
            yield ObjectPath(uri, _entry_of(info))
        elif not recursive:
            yield ObjectPath(uri)


def _entry_of(info: "FileInfo") -> ObjectEntry:
    seconds = (info.mtime_ns or 0) // _NS  # lists of some servers are more exact than answers
    return ObjectEntry(info.size, seconds * _NS)


class ObjectStream(io.RawIOBase):
    """The bytes of an object, by requests for ranges that grow while it is read on.

    Args:
        path: The object.
        window: Bytes of each request; None to let them grow.

    Raises:
        DataError: From opening and from any read.
    """

    def __init__(self, path: ObjectPath, window: int | None = None) -> None:
        super().__init__()
        self._uri, self._fixed = path.uri, window
        files = open_filesystem(path.uri)
        with storage_errors(path.uri, _GONE) if path.listed else storage_errors(path.uri):
            self._file = files.open_input_file(path.uri.path)
            self._size: int = self._file.size()
        self._place, self._window = 0, window or _FIRST_WINDOW
        self._held, self._held_at = b"", 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        start = self._place - self._held_at
        if not 0 <= start < len(self._held):
            self._fetch(len(view))
            start = 0
        chunk = self._held[start : start + len(view)]
        view[: len(chunk)] = chunk
        self._place += len(chunk)
        return len(chunk)

    def _fetch(self, wanted: int) -> None:
        """Hold the bytes from the place on."""
        sequential = self._held and self._place == self._held_at + len(self._held)
        if self._fixed is None:
            self._window = min(2 * self._window, _LAST_WINDOW) if sequential else _FIRST_WINDOW
        n_bytes = min(max(wanted, self._window), max(0, self._size - self._place))
        with storage_errors(self._uri, _GONE):
            self._held = self._file.read_at(n_bytes, self._place) if n_bytes else b""
        self._held_at = self._place
        if len(self._held) < n_bytes:
            raise DownloadError(
                f"{self._uri} ended at byte {self._place + len(self._held):,} of {self._size:,}: "
                "run the command again"
            )

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"a place before the beginning: {base + offset}")
        self._place = base + offset
        return self._place

    @override
    def tell(self) -> int:
        return self._place

    @override
    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
