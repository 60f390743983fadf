"""Start, recognize and end processes that outlive the command that started them.

Each carries a mark in its environment: what it is, and the home that it works for. A process is
known by that mark, never by its number alone, which the system gives again after its end.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gpt_core.errors import DataError
from tasks.paths import project_root

HOST = "127.0.0.1"
"""Where servers listen."""

WORKER = "worker"
"""The runs that a worker started, and all that they started."""

_MARK = "GPTFLOW_PROCESS"
_PORT_TRIES = 100
_STOPPING_SECONDS = 5.0
_MARKING_SECONDS = 1.0
_PROC = Path("/proc")


def mark(kind: str) -> dict[str, str]:
    """The environment variable that marks a process of this home.

    Args:
        kind: What the process is, such as ``prefect``.
    """
    return {_MARK: f"{kind}:{project_root()}"}


def is_running(pid: int, kind: str) -> bool:
    """Whether a process runs and is of this kind and home, not another one with its number."""
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)  # reap it if it is an ended child of this process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return False  # another user's
    return kind in _kinds(pid) if _PROC.is_dir() else True


def running(kinds: Iterable[str]) -> list[int]:
    """The processes of this home of some kinds; those that they started are of the same kind."""
    wanted, own = set(kinds), os.getpid()
    numbers = (int(entry.name) for entry in _processes() if entry.name.isdigit())
    return sorted(pid for pid in numbers if pid != own and wanted & _kinds(pid))


def end(kinds: Iterable[str], seconds: float = _STOPPING_SECONDS) -> int:
    """End all processes of this home of some kinds, by force if they do not end.

    Args:
        kinds: What the processes are.
        seconds: How long they may take.

    Returns:
        How many there were.
    """
    kinds = tuple(kinds)
    found = running(kinds)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for pid in running(kinds):
            with contextlib.suppress(OSError):
                os.kill(pid, sent)
        until = time.monotonic() + seconds
        while running(kinds) and time.monotonic() < until:
            time.sleep(0.05)
    return len(found)


def _processes() -> Iterator[Path]:
    return _PROC.iterdir() if _PROC.is_dir() else iter(())


def _kinds(pid: int) -> set[str]:
    """The kind of a process of this home, or nothing."""
    environment = _environment(pid)
    prefix, suffix = f"{_MARK}=".encode(), b":" + os.fsencode(project_root())
    marks = [each for each in environment if each.startswith(prefix) and each.endswith(suffix)]
    return {each.removeprefix(prefix).removesuffix(suffix).decode() for each in marks}


def variable(pid: int, name: str) -> str:
    """A variable of a process's environment, empty if it has none."""
    prefix = f"{name}=".encode()
    found = (each for each in _environment(pid) if each.startswith(prefix))
    return next(found, b"").removeprefix(prefix).decode(errors="replace")


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it ended, or is another user's


def start_detached(
    kind: str,
    command: list[str],
    log: Path,
    reservation: socket.socket,
    environment: Mapping[str, str],
) -> int:
    """Start a Python module in a session of its own, so that Ctrl-C here does not end it.

    Args:
        kind: What the process is.
        command: The arguments of the interpreter, which every user of this machine can read.
        log: Its output is appended to this file, in whose folder it works.
        reservation: Its port's reservation, which it holds as long as it runs.
        environment: Variables besides those of this process, which only this user can read.

    Returns:
        The number of the process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=log.parent,
            pass_fds=[reservation.fileno()],
            env={**os.environ, **environment, **mark(kind)},
        )
    until = time.monotonic() + _MARKING_SECONDS
    while not is_running(process.pid, kind) and time.monotonic() < until:
        time.sleep(0.001)  # the kernel shows its environment a moment later
    return process.pid


def stop_detached(pid: int, kind: str) -> None:
    """Stop a process and those that it started, by force if they do not end."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, sent)
        until = time.monotonic() + _STOPPING_SECONDS
        while is_running(pid, kind) and time.monotonic() < until:
            time.sleep(0.05)


def reserve_port(wanted: int, *, only: bool = False) -> socket.socket:
    """Reserve the wanted TCP port, or any free one if it is taken.

    A server binds its port seconds after it was started, too late to keep others from choosing
    the same one. So the port is reserved by the UDP port of the same number, which these servers
    do not use: binding it is atomic, and it is free again when the last process that holds the
    socket ends, however it ends.

    Args:
        wanted: The port.
        only: No other one will do.

    Returns:
        The UDP socket, bound to the port.

    Raises:
        DataError: If no port is free.
    """
    for port in (wanted, *[0] * (0 if only else _PORT_TRIES)):
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind((HOST, port))
            if _can_listen(reservation.getsockname()[1]):
                return reservation
        except OSError:
            pass  # reserved by another process
        reservation.close()
    raise DataError(f"port {wanted} is in use" if only else "no port of this machine is free")


def _can_listen(port: int) -> bool:
    """Whether no server listens on a TCP port."""
    with socket.socket() as probe:
        # Else a port is taken for a minute after its server's end.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
