"""``gptflow serve``: a server of checkpoints and registered models, which follows their aliases."""

import logging
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpt_core.config import build_config
from gpt_core.errors import ConfigError, GPTCoreError
from gpt_core.serving import ServingConfig
from gpt_core.signals import exit_without_threads

if TYPE_CHECKING:
    from gpt_core.serving.models import Given
    from gpt_core.serving.server import Server

logger = logging.getLogger("gpt_core.serving")

server_tools = typer.Typer()
"""The command; the command line adds it to its own."""

_DEFAULTS = ServingConfig()


_Checkpoints = Annotated[
    list[str],
    typer.Option(metavar="DIR", help="A directory or models:/NAME@ALIAS; several are allowed."),
]
_Names = Annotated[list[str] | None, typer.Option(help="The name of each checkpoint, in order.")]
_Port = Annotated[int, typer.Option(help="0 takes a free one.")]
_Host = Annotated[str, typer.Option(help="Another than this machine's own needs a key.")]
_Slots = Annotated[int, typer.Option(help="Requests of a model that are decoded at once.")]
_Threads = Annotated[
    int | None, typer.Option(help="Threads that decode each model; one fewer than cores.")
]
_Weights = Annotated[str, typer.Option(help="auto, plain, packed or int8.")]
_Queue = Annotated[int, typer.Option(help="Requests of a model that may wait for a slot.")]
_KeyFile = Annotated[Path | None, typer.Option(help="A file with the key that clients must send.")]
_Hosts = Annotated[
    list[str] | None, typer.Option(help="Another name by which clients know the server.")
]
_Origins = Annotated[list[str] | None, typer.Option(help="An origin of pages that may ask it.")]
_Stop = Annotated[
    float, typer.Option(help="After SIGTERM, seconds for the requests that are running.")
]
_Poll = Annotated[float, typer.Option(min=0.05, help="Seconds between two looks at the registry.")]


@server_tools.command()
def serve(
    checkpoint: _Checkpoints,
    name: _Names = None,
    port: _Port = _DEFAULTS.port,
    host: _Host = _DEFAULTS.host,
    slots: _Slots = _DEFAULTS.slots,
    threads: _Threads = None,
    weights: _Weights = _DEFAULTS.weights,
    queue: _Queue = _DEFAULTS.queue,
    key_file: _KeyFile = None,
    allowed_host: _Hosts = None,
    allow_origin: _Origins = None,
    stop_seconds: _Stop = _DEFAULTS.stop_seconds,
    poll_seconds: _Poll = 5.0,
) -> None:
    """Serve models over HTTP with OpenAI's routes; models:/NAME@ALIAS follows the alias."""
    values = {
        "host": host, "port": port, "slots": slots, "threads": threads, "weights": weights,
        "queue": queue, "allowed_hosts": allowed_host or [], "allowed_origins": allow_origin or [],
        "stop_seconds": stop_seconds,
    }  # fmt: skip
    config = build_config(ServingConfig, values)
    from gpt_core.serving.starting import named_checkpoints, run_server

    follower = Follower(poll_seconds)
    given = named_checkpoints(checkpoint, name or [], follower.read)
    try:
        run_server(given, config, key_file, partial(typer.echo), follower.start)
    finally:
        follower.stop()


class Follower:
    """Serves the version that an address of the registry means, also when that changes.

    Args:
        poll_seconds: How often the registry is asked.
    """

    def __init__(self, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._served: dict[str, tuple[str, str]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._problems: dict[str, str] = {}

    def read(self, checkpoint: str, name: str | None) -> "Given":
        """Open a directory or a registered model to serve it.

        Raises:
            GPTCoreError: If there is none.
        """
        from gpt_core.serving.models import given_checkpoint
        from tasks.reads import REGISTERED
        from tasks.reads import Given as Source

        if not checkpoint.startswith(REGISTERED):
            return given_checkpoint(Source(checkpoint, "checkpoint").read().directory, name)
        from tasks.environment import configure_environment

        configure_environment()
        model = checkpoint.removeprefix(REGISTERED).partition("@")[0].partition("/")[0]
        name = name or model
        if name in self._served:
            raise ConfigError(f"two models have the name {name!r}: give each one with --name")
        uri = _meaning(checkpoint)
        self._served[name] = checkpoint, uri
        return _registered(uri, name)

    def start(self, server: "Server") -> None:
        """Begin to follow, if there is anything that can change."""
        self._server = server
        if self._served:
            self._thread.start()

    def stop(self) -> None:
        """Stop following; a registry that does not answer by then ends the process with code 1."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(10)
        if self._thread.is_alive():  # perhaps inside torch, with the next model
            exit_without_threads("the registry of models has not answered: ending without it")

    def _follow(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            for name, (address, before) in self._served.items():
                try:
                    uri = _meaning(address)
                    if uri != before:
                        self._server.models.replace(_registered(uri, name))
                        self._served[name] = address, uri
                    self._problems.pop(name, None)
                except Exception as error:  # the registry may be away; the model is served on
                    self._report(name, error)

    def _report(self, name: str, error: Exception) -> None:
        """Log a problem once, until it is over."""
        is_known = isinstance(error, GPTCoreError)
        problem = str(error) if is_known else f"{type(error).__name__} of the registry"
        if problem != self._problems.get(name):
            logger.warning("%s stays as it is: %s", name, problem)
            self._problems[name] = problem


def _meaning(address: str) -> str:
    """The address of the version that an address means now."""
    from tasks.tracking.registry import find_version

    return find_version(address).uri


def _registered(uri: str, name: str) -> "Given":
    from dataclasses import replace

    from gpt_core.serving.models import given_checkpoint
    from tasks.reads import Given as Source

    found = given_checkpoint(Source(uri, "checkpoint").read().directory, name)
    return replace(found, source=uri)
