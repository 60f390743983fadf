"""Atomic files and directories, hashes and JSON: a path holds complete content or nothing."""

import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gpt_core.durable import (
    replace_directory,
    sync_directory,
    sync_tree,
    temporary_directory,
    temporary_file,
)
from gpt_core.errors import DataError

Progress = Callable[[str, int, int | None], None]
"""Receives the progress of long work as ``(unit, done, total)``; ``total`` is None if unknown."""

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a full disk or an exhausted quota."""

_DISK_FULL_SENTENCE = re.compile(
    r"No space left on device|Disk quota exceeded|database or disk is full"
)

MAX_JSON_BYTES = 1 << 28
"""A JSON file is read at once; the largest in use, vocabularies, have a tenth of this."""

_UNWRITABLE = DISK_FULL | {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.EFBIG, errno.EIO,
}  # fmt: skip


def cannot_write(path: Path, reason: str, advice: str = "") -> DataError:
    """The error for a path that cannot be written.

    Args:
        path: The file or directory.
        reason: What the system says.
        advice: What the user can do, or nothing.
    """
    return DataError(f"{path} cannot be written: {reason}{advice and '; '}{advice}")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, is that of a full disk.

    Libraries translate the system's error into their own and keep its sentence at best.
    """
    while error is not None:
        by_number = isinstance(error, OSError) and error.errno in DISK_FULL
        if by_number or _DISK_FULL_SENTENCE.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def disk_errors(path: Path, advice: str = "") -> Iterator[None]:
    """Translate the system's refusal to write into one sentence.

    A file that is missing is translated only if it is ``path`` itself: any other may be one that
    the block reads.

    Args:
        path: The file or directory that the block writes.
        advice: What the user can do; a full disk has advice of its own.

    Raises:
        DataError: If the block fails because something cannot be written or the disk is full.
    """
    try:
        yield
    except OSError as error:
        missing = error.errno == errno.ENOENT and str(error.filename) == str(path)
        if error.errno not in _UNWRITABLE and not missing:
            raise
        if error.errno in DISK_FULL:
            advice = advice or "free some space"
        reason = error.strerror or str(error)
        if error.filename is not None and str(error.filename) != str(path):
            reason += f" ({error.filename})"
        raise cannot_write(path, reason, advice) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name only when the block ends without an error.

    Its bytes are on disk before the file is renamed, and the new name before this returns.

    Args:
        path: The finished file; its directory is created.

    Yields:
        The open file, under a temporary name in the same directory.
    """
    with temporary_file(path) as temporary:
        with temporary.open("wb") as file:
            yield file
            temporary.chmod(0o666 & ~_umask())  # its first mode, 0600, would hide it from its group
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)


@contextmanager
def atomic_write_text(path: Path) -> Iterator[IO[str]]:
    """``atomic_write`` for UTF-8 text with LF line ends."""
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield text
        finally:
            text.detach()  # flushes; the file itself is closed by atomic_write


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Fill a directory that gets its name only when the block ends without an error.

    Everything in it is on disk before it is renamed, and the new name before this returns.

    Args:
        path: The finished directory. One that is there already is replaced.

    Yields:
        The temporary directory to fill, on the same file system.
    """
    with temporary_directory(path) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        sync_tree(temporary)
        replace_directory(temporary, path)


def copy_directory(source: Path, target: Path) -> None:
    """Copy a directory to one that does not exist yet.

    Unlike ``shutil.copytree`` it raises the error of the first file that cannot be written, by
    which a full disk is known.
    """
    target.mkdir()
    for entry in source.iterdir():
        copy = copy_directory if entry.is_dir() else shutil.copyfile
        copy(entry, target / entry.name)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, computed in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: object) -> str:
    """JSON in the one form that is hashed: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def write_json(path: Path, value: object) -> None:
    """Write indented JSON in UTF-8, atomically."""
    with atomic_write_text(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: Path, *, finite: bool = True) -> Any:
    """Read a JSON file.

    Args:
        path: The file, of at most ``MAX_JSON_BYTES``.
        finite: Whether NaN and infinite numbers, which JSON does not have, are refused.

    Raises:
        DataError: If the file is missing, too long, not UTF-8 or not JSON, or has a key twice, an
            infinite number, a number of thousands of digits or thousands of nested brackets.
    """
    with _reading(path):
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise DataError(
                f"{path} has {size:,} bytes, a JSON file of at most {MAX_JSON_BYTES:,} is expected"
            )
        text = path.read_text(encoding="utf-8")
    number = _finite_number if finite else None
    try:
        return json.loads(
            text, object_pairs_hook=_unique_keys, parse_float=number, parse_constant=number
        )
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not valid JSON: line {error.lineno}: {error.msg}") from error
    except RecursionError as error:
        raise DataError(f"{path} is not read: its brackets are nested too deeply") from error
    except ValueError as error:
        raise DataError(f"{path} is not read: {error}") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; a repeated key could mean one value here and another elsewhere."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"it has the key {twice!r} twice")
    return found


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text} is not finite")
    return number


def parse_json_lines(lines: Iterable[str], where: str) -> Iterator[tuple[int, object]]:
    """Parse JSON lines; blank lines are skipped.

    Args:
        lines: The lines.
        where: Name of their source, for errors.

    Yields:
        The number of each line, counted from 1, and its value.

    Raises:
        DataError: Naming the line that cannot be parsed.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                value: object = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{where}, line {number}: not valid JSON: {error.msg}") from error
            except (ValueError, RecursionError) as error:  # a huge number or very deep nesting
                reason = str(error).partition(";")[0]  # without Python's advice to its programmer
                raise DataError(
                    f"{where}, line {number}: JSON that cannot be read: {reason}"
                ) from error
            yield number, value


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate a missing, unreadable or undecodable file into a DataError."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: byte {error.start} cannot be read") from error


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
