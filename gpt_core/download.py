"""Downloads that resume, verified by size and SHA-256."""

import errno
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from filelock import FileLock

from gpt_core.durable import make_directory, sync_directory
from gpt_core.errors import DataError, DownloadError
from gpt_core.files import DISK_FULL, Progress, disk_errors, sha256_file
from gpt_core.redaction import split_authorization

_OF_THE_DISK = DISK_FULL | {errno.EFBIG, errno.EIO}
"""Error numbers that come from the file, never from the network: trying again does not help."""

_CHUNK = 1 << 20  # bytes read at a time


def download(
    url: str,
    path: Path,
    *,
    sha256: str,
    size: int,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> None:
    """Download a file of known hash, resuming an interrupted download.

    If several processes download the same file, one does and the others wait for it.

    Args:
        url: An ``https`` or ``http`` address; a user and password in it go to its host only.
        path: The finished file; it appears complete and verified.
        sha256: Hash of the complete file.
        size: Size of the complete file, in bytes.
        progress: Receives ``bytes``.
        timeout: Seconds without a byte after which the attempt fails.

    Raises:
        DownloadError: If the server does not answer, stalls or ends early: try again.
        DataError: If it has no such file, sends another one, or the disk cannot take it.
    """
    if not _is_http_address(url):
        raise DataError(f"{url} is not an http address")
    lock = path.with_name(f".{path.name}.lock")
    with disk_errors(path):
        make_directory(path.parent)
        with FileLock(lock):
            if not (path.is_file() and path.stat().st_size == size and sha256_file(path) == sha256):
                _download(url, path, sha256, size, progress, timeout)
            with suppress(PermissionError):  # Windows does not delete an open file
                lock.unlink(missing_ok=True)  # a waiting process finds the complete file


def _is_http_address(url: str) -> bool:
    """Whether an address has a host, and a port that is a number if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _download(
    url: str, path: Path, sha256: str, size: int, progress: Progress | None, timeout: float
) -> None:
    """Complete the partial file, verify it and give it its name."""
    partial = path.with_name(f".{path.name}.download")
    with partial.open("ab") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() > size:
            _empty(file)
        resumed = file.tell() > 0
        if file.tell() < size:
            _fetch(url, file, size, progress, timeout)
        if sha256_file(partial) != sha256:
            _empty(file)
            problem = f"{url} is not the expected file: its sha256 is not {sha256}"
            raise DownloadError(problem) if resumed else DataError(problem)
        os.fsync(file.fileno())
    partial.replace(path)
    sync_directory(path.parent)


def _fetch(url: str, file: IO[bytes], size: int, progress: Progress | None, timeout: float) -> None:
    """Append the missing bytes; never more than ``size`` in all."""
    have = file.tell()
    address, authorization = split_authorization(url)
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    if authorization:  # a header that is not sent to where the server redirects
        request.add_unredirected_header("Authorization", authorization)
    with _http_errors(url), urllib.request.urlopen(request, timeout=timeout) as response:  # nosec B310
        begins = f"bytes {have}-"
        partial = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if partial and not response.headers.get("Content-Range", "").startswith(begins):
            raise DownloadError(f"{url} answered with another part than {begins}")
        if not partial:
            _empty(file)
        done = file.tell()
        while chunk := response.read1(_CHUNK):  # whatever has arrived: a stall must not lose it
            done += len(chunk)
            if done > size:
                _empty(file)
                raise DataError(f"{url} is not the expected file: it is longer than {size} bytes")
            file.write(chunk)
            if progress is not None:
                progress("bytes", done, size)
    file.flush()
    if done < size:
        raise DownloadError(f"{url} ended after {done} of {size} bytes")


@contextmanager
def _http_errors(url: str) -> Iterator[None]:
    """Map HTTP and network errors to DownloadError (retryable) or DataError."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise DataError(f"{url} is not the expected file: it is shorter") from error
        retryable = error.code in (408, 425, 429) or error.code >= 500
        kind = DownloadError if retryable else DataError
        raise kind(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        reason = getattr(error, "reason", error)
        raise DownloadError(f"{url} could not be downloaded: {reason}") from error


def _empty(file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()
