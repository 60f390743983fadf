"""Nodes that meet on 127.0.0.1, each in a thread."""

import socket
import threading
from collections.abc import Callable

from gpt_core.config import RunConfig, load_config
from tasks.joining import join


def free_address() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def settings_of(address: str, *more: str, join_seconds: float = 20, nodes: int = 2) -> RunConfig:
    """The settings of a node."""
    launch = [
        f"launch.nodes={nodes}", f"launch.rendezvous={address}", "launch.lost_seconds=2",
        f"launch.join_seconds={join_seconds}", "compute.device=cpu",
        "training.micro_batch=4",
    ]  # fmt: skip
    return load_config("tiny", settings=[*launch, *more])


class InThread:
    """Calls a function in a thread; ``result`` waits for it and returns its error, if any."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._call, args=(function,))
        self._thread.start()

    def _call(self, function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            self._error = error

    def result(self) -> BaseException | None:
        """Wait for the end."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._error


def lead(config: RunConfig, body: Callable[[], object] = lambda: None) -> list[str]:
    """Join as the node that comes first, and do something as its flow."""
    said: list[str] = []
    with join(config, said.append) as leads:
        if leads:
            body()
    return said
