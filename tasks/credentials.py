"""The password of this home's Prefect server, in a file that only its owner can read.

A client of a Prefect server can run commands: a deployment's steps are shell commands. The
address 127.0.0.1 is no protection, since every page in a browser and every user of the machine can
reach it.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from filelock import FileLock

from gpt_core.files import disk_errors
from tasks.paths import prefect_dir

_PASSWORD_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def password_file() -> Path:
    """The file that holds the password, and nothing else."""
    return prefect_dir() / "password"


def read_password() -> str:
    """The password, empty if there is none yet or it belongs to another user."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return password_file().read_text(encoding="ascii").strip()
    return ""


def create_password() -> str:
    """Read the password; generate it if there is none yet.

    Of several processes one generates it, and the file has its mode and its content from the
    moment at which it has its name.

    Raises:
        DataError: If it cannot be written.
    """
    file = password_file()
    with disk_errors(file):
        make_private(file.parent)
        with FileLock(file.with_suffix(".lock")):
            if not read_password():
                _write_private(file, secrets.token_urlsafe(_PASSWORD_BYTES))
            _close_to_others(file)
    return read_password()


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can enter, or close an existing one to others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close_to_others(folder)


def _write_private(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)


def _close_to_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        path.chmod(mode & ~_OTHERS)
