"""The objects of a store: each is written completely or not at all, and checked when it is read."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from gpt_core.errors import DataError
from gpt_core.files import atomic_write
from gpt_core.manifest import FileEntry
from gpt_core.uris import Uri, open_filesystem, parse_uri, storage_errors

_CHUNK = 1 << 20


class Objects:
    """The objects below an address.

    Every method raises a DataError if the store refuses, and a DownloadError if it does not answer.

    Args:
        address: ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` or ``file:///FOLDER``.

    Raises:
        ConfigError: If it is none of these.
    """

    def __init__(self, address: str) -> None:
        self.uri = parse_uri(address)

    def __str__(self) -> str:
        return str(self.uri)

    def check(self) -> None:
        """Ask for the bucket or the folder.

        Raises:
            DataError: If it does not exist, or may not be used.
            DownloadError: If the store does not answer.
        """
        top = self.uri if self.uri.scheme == "file" else replace(self.uri, key="")
        with storage_errors(top):
            found = open_filesystem(top).get_file_info(top.path)
        if found.is_file or not found.type.value:
            kind = "folder" if self.uri.scheme == "file" else "bucket"
            raise DataError(f"the store {self} cannot be used: there is no {kind} {top}: create it")

    def size(self, name: str) -> int | None:
        """The size of an object in bytes, None if there is none."""
        uri = self.at(name)
        with storage_errors(uri):
            found = open_filesystem(uri).get_file_info(uri.path)
        return int(found.size) if found.is_file else None

    def read(self, name: str, limit: int) -> bytes | None:
        """The content of a small object, None if there is none.

        Raises:
            DataError: If it has more bytes than ``limit``.
        """
        uri = self.at(name)
        try:
            with storage_errors(uri), _open(uri) as stream:
                content = stream.read(limit + 1)
        except DataError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        if len(content) > limit:
            raise DataError(f"{uri} has more than {limit:,} bytes, it was not written by gptflow")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, in place of one that has the name."""
        uri = self.at(name)
        with storage_errors(uri), _create(uri) as stream:
            stream.write(content)

    def upload(self, name: str, file: Path, entry: FileEntry) -> None:
        """Write a file as an object.

        Args:
            name: The object.
            file: The file.
            entry: Its size and hash.

        Raises:
            DataError: If the file has others.
        """
        uri = self.at(name)
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != entry.sha256:
                raise DataError(f"{file} was altered since it was written: it is not published")
            content.seek(0)
            with storage_errors(uri), _create(uri) as stream:
                shutil.copyfileobj(content, stream, _CHUNK)

    def download(self, name: str, file: Path, entry: FileEntry) -> None:
        """Read an object into a new file, no further than its recorded size.

        Raises:
            DataError: If it is missing, or its size or hash is not the recorded one.
        """
        uri, digest, left = self.at(name), hashlib.sha256(), entry.bytes
        with file.open("xb") as target:
            for chunk in _chunks(uri, entry.bytes + 1):
                left -= len(chunk)
                digest.update(chunk)
                target.write(chunk)
        if left:
            found = f"more than {entry.bytes:,}" if left < 0 else f"{entry.bytes - left:,}"
            raise DataError(f"{uri} has {found} bytes, {entry.bytes:,} were published")
        if digest.hexdigest() != entry.sha256:
            raise DataError(f"{uri} was altered: its sha256 is not the one that was published")

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        uri = self.at(name)
        with storage_errors(uri), suppress(FileNotFoundError):
            open_filesystem(uri).delete_file(uri.path)

    def at(self, name: str) -> Uri:
        """The address of an object."""
        return replace(self.uri, key="/".join(filter(None, [self.uri.key.rstrip("/"), name])))


def _chunks(uri: Uri, limit: int) -> Iterator[bytes]:
    """The first bytes of an object."""
    with storage_errors(uri), _open(uri) as stream:
        while limit > 0 and (chunk := stream.read(min(_CHUNK, limit))):
            limit -= len(chunk)
            yield chunk


@contextmanager
def _open(uri: Uri) -> Iterator[IO[bytes]]:
    with open_filesystem(uri).open_input_stream(uri.path) as stream:
        yield cast(IO[bytes], stream)


@contextmanager
def _create(uri: Uri) -> Iterator[IO[bytes]]:
    """A new object: a file gets its name at the end, other stores show an object then."""
    if uri.scheme == "file":
        with atomic_write(Path(uri.key)) as file:
            yield file
    else:
        with open_filesystem(uri).open_output_stream(uri.path) as stream:
            yield cast(IO[bytes], stream)
