"""Bytes on disk: a file is either whole and in its place or not there at all."""

import errno
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gpt_core.errors import DataError, DownloadError

Progress = Callable[[str, int, int | None], None]
"""Told of long work as ``progress(unit, done, total)``; ``total`` is None when it is not known."""

_CHUNK = 1 << 20  # bytes read at a time

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT})
"""What a full disk says."""


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only when the block ends without an error.

    Args:
        path: Where the finished file goes; its folder is made.
        mode: ``"wb"`` for bytes, ``"w"`` for UTF-8 text with LF line ends.

    Yields:
        The open file, under a temporary name in the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        with Path(temporary).open(mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide it from its group
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Fill a directory that appears under its name only when the block ends without an error.

    Args:
        path: Where the finished directory goes. One that is there already is replaced.

    Yields:
        The temporary directory to fill, on the same file system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        replaced = None
        if path.exists():
            replaced = Path(
                tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old")
            )
            path.rename(replaced / path.name)
        temporary.rename(path)
        if replaced is not None:
            shutil.rmtree(replaced)
        _flush(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def download(
    url: str,
    path: Path,
    *,
    sha256: str,
    size: int,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> None:
    """Fetch a file that is known by its hash, going on from where an earlier try was cut off.

    Of several processes one fetches, the others wait for it.

    Args:
        url: An ``https`` or ``http`` address.
        path: Where the file goes when all of it is there and right.
        sha256: Of the whole file.
        size: Of the whole file, in bytes.
        progress: Told of ``bytes``.
        timeout: Seconds without a byte after which the server is given up.

    Raises:
        DownloadError: If the server does not answer, stalls or ends early: try again.
        DataError: If it has no such file, sends another one, or the disk cannot take it.
    """
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{url} is not an http address")
    partial = path.with_name(f".{path.name}.download")
    with _writing(path), _locked_append(partial) as file:
        if path.is_file() and path.stat().st_size == size and sha256_file(path) == sha256:
            return  # another process was quicker
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


def _fetch(url: str, file: IO[bytes], size: int, progress: Progress | None, timeout: float) -> None:
    """Append what is missing, and never more than the file should have."""
    have = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with _asking(url), urllib.request.urlopen(request, timeout=timeout) as answer:
        begins = f"bytes {have}-"
        partly = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        if partly and not answer.headers.get("Content-Range", "").startswith(begins):
            raise DownloadError(f"{url} answered with another part than {begins}")
        if not partly:
            _empty(file)
        done = file.tell()
        while chunk := answer.read1(_CHUNK):  # what has come, for a stall would lose the rest
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
def _asking(url: str) -> Iterator[None]:
    """Say of what a server answers whether it helps to ask again."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise DataError(f"{url} is not the expected file: it is shorter") from error
        passing = error.code in (408, 425, 429) or error.code >= 500
        kind = DownloadError if passing else DataError
        raise kind(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        reason = getattr(error, "reason", error)
        raise DownloadError(f"{url} could not be downloaded: {reason}") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say in one sentence that a file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def _empty(file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()


@contextmanager
def _locked_append(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to append to, when no other process does."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0, os.SEEK_END)
        yield file


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, read in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: object) -> str:
    """JSON in the one form that is hashed: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def write_json(path: Path, value: object) -> None:
    """Write JSON for people to read: indented, in UTF-8, in place only when whole."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DataError: If the file is missing, is not UTF-8 or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: byte {error.start} cannot be read") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not valid JSON: line {error.lineno}: {error.msg}") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with its line's number, counted from 1.

    Raises:
        DataError: If the file is missing or is not UTF-8, or naming the line that is no object.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(f"{path}, line {number} is not a JSON object")
                yield number, row
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: byte {error.start} cannot be read") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {number} is not valid JSON: {error.msg}") from error


def _flush(path: Path) -> None:
    """Ask the disk to keep what is written of a file or a directory's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
