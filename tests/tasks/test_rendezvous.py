"""A connection between nodes needs the key that is in their home."""

import socket
import time

from meeting import InThread, settings_of

from gpt_core.errors import DataError
from tasks import rendezvous
from tasks.rendezvous import accept, connect, listen


def test_a_node_of_another_home_and_a_stranger_are_refused(address: str) -> None:
    launch = settings_of(address, join_seconds=3).launch
    with listen(launch) as server:
        assert server is not None
        key = rendezvous._key_file(address)
        assert key.stat().st_mode & 0o777 == 0o600
        right = key.read_text()
        key.write_text("another home's")
        other = InThread(lambda: connect(launch))
        time.sleep(0.3)
        key.write_text(right)
        assert accept(server, launch, 5) is None
        error = other.result()
        assert isinstance(error, DataError)
        assert "set GPTFLOW_HOME to a folder that all nodes share" in str(error)
        with socket.create_connection(server.getsockname()[:2]) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert accept(server, launch, 5) is None
