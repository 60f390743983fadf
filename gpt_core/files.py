"""Bytes on disk: a file is either whole and in its place or not there at all."""

import hashlib
import http.client
import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gpt_core.errors import DataError

Progress = Callable[[str, int, int | None], None]
"""Told of long work as ``progress(unit, done, total)``; ``total`` is None when it is not known."""

_CHUNK = 1 << 20  # bytes read at a time
_TIMEOUT_SECONDS = 30.0  # without a byte


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
    url: str, path: Path, *, sha256: str, size: int, progress: Progress | None = None
) -> None:
    """Fetch a file that is known by its hash, going on from where an earlier try was cut off.

    Args:
        url: An ``https`` or ``http`` address.
        path: Where the file goes when all of it is there and right.
        sha256: Of the whole file.
        size: Of the whole file, in bytes.
        progress: Told of ``bytes``.

    Raises:
        DataError: If it cannot be reached, ends early, is too long or has another hash.
    """
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{url} is not an http address")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.download")
    have = partial.stat().st_size if partial.is_file() else 0
    if have > size:
        partial.unlink()
        have = 0
    try:
        if have < size:
            _fetch(url, partial, have, size, progress)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url} could not be downloaded: {error}") from error
    found = partial.stat().st_size
    if found != size:
        raise DataError(f"{url} ended after {found} of {size} bytes")
    if sha256_file(partial) != sha256:
        partial.unlink()
        raise DataError(f"{url} is not the expected file: its sha256 is not {sha256}")
    partial.replace(path)


def _fetch(url: str, partial: Path, have: int, size: int, progress: Progress | None) -> None:
    """Append what is missing; never more than one byte beyond the expected size."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        done = have if resumed else 0
        with partial.open("ab" if resumed else "wb") as file:
            while done <= size and (chunk := answer.read(min(_CHUNK, size + 1 - done))):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress("bytes", done, size)
            file.flush()
            os.fsync(file.fileno())


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
