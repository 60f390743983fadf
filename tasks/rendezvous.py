"""Connections between the nodes of a run: JSON messages over TCP, in a home that they share.

The first node is the one that can listen at ``launch.rendezvous``. It writes a key into the home,
and a node that proves that it has read it belongs to the run. A connection ends when a process
does; the kernel ends it when a machine is silent.
"""

import errno
import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Any

from gpt_core.config import LaunchConfig, split_address
from gpt_core.durable import make_directory, temporary_file
from gpt_core.errors import ConfigError, DataError
from tasks.paths import project_root, running_dir

_POLL_SECONDS = 0.5
_KEY_SECONDS = 15.0  # until a shared folder shows a file that another machine wrote
_NOT_MINE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)

Message = dict[str, Any]


class Peer:
    """Another node, reached over a connection.

    Args:
        connection: Both sides have proved that they know the run's key.
    """

    def __init__(self, connection: "Connection[bytes, bytes]") -> None:
        self._connection = connection
        self.name = "a node"
        """How sentences call it."""

    def send(self, message: Message) -> None:
        """Send a message; one to a node that has ended is lost."""
        with suppress(OSError):
            self._connection.send_bytes(json.dumps(message).encode())

    def receive(self, seconds: float | None) -> Message | None:
        """Wait for a message.

        Args:
            seconds: How long; None waits until there is one.

        Returns:
            The message, or None if there is none in time.

        Raises:
            EOFError: If the node has ended or is lost.
        """
        try:
            if not self._connection.poll(seconds):
                return None
            message: Message = json.loads(self._connection.recv_bytes())
        except (OSError, ValueError) as error:
            raise EOFError from error
        return message

    def close(self) -> None:
        """End the connection, which the node notices."""
        self._connection.close()


@contextmanager
def listen(launch: LaunchConfig) -> Iterator[socket.socket | None]:
    """Listen at the rendezvous, if it is an address of this machine and free.

    Yields:
        The socket on the first node, None on every other.
    """
    assert launch.rendezvous is not None
    server = _bind(*split_address(launch.rendezvous))
    try:
        if server is not None:
            _write_key(launch.rendezvous)
        yield server
    finally:
        if server is not None:
            server.close()
            _key_file(launch.rendezvous).unlink(missing_ok=True)


def _bind(host: str, port: int) -> socket.socket | None:
    with suppress(socket.gaierror):  # a name may get its address later
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return socket.create_server(address[:2], family=family)
            except OSError as error:
                if error.errno not in _NOT_MINE:
                    raise ConfigError(
                        f"launch.rendezvous={host}:{port} cannot be used: {error.strerror}"
                    ) from error
    return None


def accept(server: socket.socket, launch: LaunchConfig, seconds: float) -> Peer | None:
    """Accept a node that knows the key; None if none came in time or a stranger did."""
    server.settimeout(max(0.01, seconds))
    try:
        connected, _ = server.accept()
    except TimeoutError:
        return None
    connection = _wrap(connected, launch.lost_seconds)
    key = _key_file(str(launch.rendezvous)).read_bytes()
    try:
        if not connection.poll(launch.lost_seconds) or connection.recv_bytes(16) != b"gptflow":
            raise AuthenticationError
        deliver_challenge(connection, key)
        answer_challenge(connection, key)
    except (AuthenticationError, OSError, EOFError):
        connection.close()
        return None
    return Peer(connection)


def connect(launch: LaunchConfig) -> Peer:
    """Connect to the first node, which may start later.

    Raises:
        ConfigError: If none answers in time.
        DataError: If the one that answers has another home.
    """
    assert launch.rendezvous is not None
    until, reason = time.monotonic() + launch.join_seconds, ""
    while time.monotonic() < until:
        try:
            connected = socket.create_connection(split_address(launch.rendezvous), _POLL_SECONDS)
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(_POLL_SECONDS)
            continue
        return _prove(connected, launch)
    raise ConfigError(
        f"no first node answers at launch.rendezvous={launch.rendezvous} after "
        f"{launch.join_seconds:g} s ({reason}): start the same command on the machine with that "
        "address, or correct it"
    )


def _prove(connected: socket.socket, launch: LaunchConfig) -> Peer:
    """Prove to the first node, and let it prove, that both see the same home."""
    connected.settimeout(None)
    connection, file = _wrap(connected, launch.lost_seconds), _key_file(str(launch.rendezvous))
    until = time.monotonic() + min(_KEY_SECONDS, launch.lost_seconds)
    while not file.is_file() and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    try:
        key = file.read_bytes()
        connection.send_bytes(b"gptflow")
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
    except (AuthenticationError, OSError, EOFError) as error:
        raise DataError(
            f"the home {project_root()} is not the one of the first node at "
            f"{launch.rendezvous}, or something else answers there: set GPTFLOW_HOME to a folder "
            "that all nodes share, or take a free port"
        ) from error
    return Peer(connection)


def _wrap(connected: socket.socket, lost_seconds: float) -> "Connection[bytes, bytes]":
    """A connection that the kernel ends when the other machine is silent for so long."""
    connected.setblocking(True)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    every = max(1, int(lost_seconds / 4))
    options = {"TCP_KEEPIDLE": every, "TCP_KEEPINTVL": every, "TCP_KEEPCNT": 3}
    options["TCP_USER_TIMEOUT"] = int(1000 * lost_seconds)
    for name, value in options.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(connected.detach())


def _key_file(rendezvous: str) -> Path:
    name = "".join(c if c.isalnum() or c in ".-" else "_" for c in rendezvous)
    return running_dir() / f"nodes-{name}.key"


def _write_key(rendezvous: str) -> None:
    make_directory(running_dir())
    file = _key_file(rendezvous)
    with temporary_file(file) as new:  # which only its owner can read
        new.write_text(secrets.token_hex(32), encoding="utf-8")
        new.replace(file)
