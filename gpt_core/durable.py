"""Changes of the file system that outlive a crash, and temporaries that end with their process.

A new file is on disk when its content and the list of names of its directory are. A temporary is
locked by its writer: the lock ends with the process, which distinguishes the temporaries of killed
processes from those that are being written.
"""

import ctypes
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_TEMPORARY = r"\.[a-z0-9_]{8}\.(part|old)"
_AT_WORKING_DIRECTORY, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def make_directory(path: Path) -> None:
    """Create a directory and its parents, each with its name on disk."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_directory(each.parent)


def sync_file(path: Path) -> None:
    """Flush a file's content to disk."""
    with path.open("rb+" if os.name == "nt" else "rb") as file:
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Flush a directory's list of names to disk; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Flush a directory and everything in it to disk."""
    for entry in [*path.rglob("*"), path]:
        (sync_directory if entry.is_dir() else sync_file)(entry)


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Create an empty hidden file next to ``path``; it is removed at the end if it still exists.

    Files that killed processes left under this name are removed first.
    """

    def create(folder: Path, prefix: str, suffix: str) -> str:
        handle, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=suffix)
        os.close(handle)
        return name

    with _temporary(path, create) as temporary:
        yield temporary


@contextmanager
def temporary_directory(path: Path) -> Iterator[Path]:
    """Create a hidden directory next to ``path``; it is removed at the end if it still exists.

    Directories that killed processes left under this name are removed first.
    """

    def create(folder: Path, prefix: str, suffix: str) -> str:
        return tempfile.mkdtemp(dir=folder, prefix=prefix, suffix=suffix)

    with _temporary(path, create) as temporary:
        yield temporary


@contextmanager
def _temporary(path: Path, create: Callable[[Path, str, str], str]) -> Iterator[Path]:
    """Create a temporary for ``path`` in its folder, with a prefix and a suffix, and lock it."""
    make_directory(path.parent)
    remove_abandoned(path.parent, path.name)
    with _lock_new(lambda: create(path.parent, f".{path.name}.", ".part")) as temporary:
        try:
            yield temporary
        finally:
            _remove(temporary)


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the temporaries in a folder whose process has ended.

    Args:
        folder: Where the temporaries are; its subfolders are not searched.
        name: Only those of this file or directory; None removes all.
    """
    pattern = re.compile((r"\..+" if name is None else rf"\.{re.escape(name)}") + _TEMPORARY)
    if not folder.is_dir():
        return
    for path in [Path(entry) for entry in os.scandir(folder) if pattern.fullmatch(entry.name)]:
        with suppress(OSError):  # removed by another process
            handle = os.open(path, os.O_RDONLY)
            try:
                if _lock(handle, wait=False):
                    _remove(path)
            finally:
                os.close(handle)


def replace_directory(new: Path, path: Path) -> None:
    """Give a finished directory its name; what had the name is at ``new`` afterwards.

    Linux exchanges the two, so that a reader always finds one of them; elsewhere there is a moment
    without any. The new list of names is on disk before this returns.

    Args:
        new: The new directory, already on disk.
        path: Its name, which another directory may have.
    """
    if not path.exists():
        new.rename(path)
    elif not _exchange(new, path):
        aside = new.with_suffix(".old")
        path.rename(aside)
        new.rename(path)
        aside.rename(new)
    sync_directory(path.parent)


def remove_directory(path: Path) -> None:
    """Remove a directory such that a crash leaves it complete or under a hidden name."""
    hidden = path.with_name(f".{path.name}.old")
    path.rename(hidden)
    sync_directory(path.parent)
    shutil.rmtree(hidden)


def _remove(path: Path) -> None:
    """Remove a file, a link or a directory, if it is there and as far as the system allows it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _lock_new(create: Callable[[], str]) -> Iterator[Path]:
    """Create a temporary and lock it until the block ends."""
    while True:
        path = Path(create())
        if os.name == "nt":
            yield path
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            _lock(handle, wait=True)
            # Another process may have removed it between its creation and its lock.
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                yield path
                return
        finally:
            os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock an open file or directory until it is closed, at the latest by the process's end.

    Returns:
        False if it is in use, or where the file system has no locks.
    """
    if sys.platform == "win32":
        return False
    import fcntl  # which Windows does not have

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two directories in one step; False where the system cannot."""
    rename = _rename_with_flags()
    names = os.fsencode(one), os.fsencode(other)
    at = _AT_WORKING_DIRECTORY
    return rename is not None and rename(at, names[0], at, names[1], _EXCHANGE) == 0


@cache
def _rename_with_flags() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """The system call ``renameat2`` of Linux, or None."""
    try:
        found: Callable[[int, bytes, int, bytes, int], int] = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return None
    return found
