"""Run the server: bind, load, serve until asked to stop, finish what runs."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn

from gpt_core.errors import ConfigError
from gpt_core.serving.app import create_app, guard_app
from gpt_core.serving.metrics import Metrics
from gpt_core.serving.models import Given, Models
from gpt_core.serving.settings import KEY_VARIABLE, ServingConfig

_LOGGER = "gpt_core.serving"
_MIN_KEY = 8
_SPARE_FILES = 64  # that are no connections
_SEND_BUFFER = 1 << 17  # bytes of a stream that is not read, before its writer has to wait
_AFTER_STOP = 5.0  # seconds for handlers to end after their requests were ended
_THREADS = 10.0  # seconds for the models' threads to end after that: a step and freeing the weights
_LATE = 20.0  # seconds after every limit, when the process still has not ended


class Server:
    """A server of some models, which can be run in any thread.

    Args:
        given: What to serve.
        config: Where, and its limits.
        key: What clients must send; None needs none.

    Raises:
        ConfigError: If the port is taken, others could reach it without a key, or two models have
            one name.
    """

    def __init__(
        self, given: Sequence[Given], config: ServingConfig, key: str | None = None
    ) -> None:
        if not config.is_local and key is None:
            raise ConfigError(
                f"other machines reach {config.host}: set {KEY_VARIABLE} or give --key-file, or "
                "listen at 127.0.0.1"
            )
        self.config = config
        metrics = Metrics()
        self.models = Models(given, config, metrics)
        self._app = create_app(config, self.models, metrics)
        self._socket = _bind(config)
        self.port: int = self._socket.getsockname()[1]
        self._uvicorn = _Uvicorn(guard_app(self._app, config, key), config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._when_late: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host, any_host = self.config.host, {4: "127.0.0.1", 6: "::1"}
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(host)
            host = any_host[address.version] if address.is_unspecified else host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(
        self,
        when_ready: Callable[[], None] = lambda: None,
        when_late: Callable[[], None] | None = None,
    ) -> None:
        """Serve until ``stop`` is called or, in the main thread, a signal arrives.

        Args:
            when_ready: Called when every model is loaded.
            when_late: Called in any thread if a thread of a model outlives the limits of a stop,
                or the process does: a command then ends itself.

        Raises:
            GPTCoreError: If a model cannot be loaded.
        """
        self._when_late = when_late
        with contextlib.closing(self._socket):
            asyncio.run(self._serve(when_ready))

    def stop(self) -> None:
        """Admit nothing more, finish what runs, then return from ``run``; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._begin_to_stop)

    async def _serve(self, when_ready: Callable[[], None]) -> None:
        self._loop = loop = asyncio.get_running_loop()
        serving = asyncio.ensure_future(self._uvicorn.serve([self._socket]))
        with _signals(loop, self._begin_to_stop):
            try:
                await asyncio.to_thread(self.models.load, loop)
                if not self._uvicorn.should_exit:
                    when_ready()
                await serving
            finally:
                self._uvicorn.should_exit = True
                self.models.close()
                await serving
                ended = await asyncio.to_thread(self.models.join, _THREADS)
                if not ended and self._when_late is not None:
                    self._when_late()

    def _begin_to_stop(self) -> None:
        if self._uvicorn.should_exit:
            self._uvicorn.force_exit = True  # asked twice
            self.models.abort("the server is being stopped")
            return
        self._uvicorn.should_exit = True
        self._app.state.stopping = True
        stop_seconds, loop = self.config.stop_seconds, asyncio.get_running_loop()
        loop.call_later(stop_seconds, self.models.abort, "the server is being stopped")
        if self._when_late is not None:
            # No call of the loop: loading a model, or Python's end, may wait for a hanging thread.
            seconds = stop_seconds + _AFTER_STOP + _THREADS + _LATE
            late = threading.Timer(seconds, self._when_late)
            late.daemon = True
            late.start()


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signals and its log of requests, which would show queries."""

    def __init__(self, app: object, config: ServingConfig) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_most_connections(),
                timeout_keep_alive=15,
                proxy_headers=False,
                timeout_graceful_shutdown=int(config.stop_seconds + _AFTER_STOP) + 1,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the server around this one."""
        yield


def _most_connections() -> int:
    """As many as there are file descriptors, except a few."""
    try:
        import resource
    except ImportError:  # Windows
        return 512
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, files - _SPARE_FILES)


def read_key(file: Path | None) -> str | None:
    """The key that clients must send, from a file or the environment.

    Raises:
        ConfigError: If the file cannot be read, or the key is too short or has spaces.
    """
    place = KEY_VARIABLE if file is None else str(file)
    if file is None:
        key = os.environ.get(KEY_VARIABLE)
    else:
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the key cannot be read from {file}: {error}") from error
    if key is None:
        return None
    if len(key) < _MIN_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"the key in {place} must be at least {_MIN_KEY} letters, digits or signs, without "
            "spaces"
        )
    return key


def log_to_stderr() -> None:
    """Write the server's log to standard error, a line for each request."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger(_LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False


def _bind(config: ServingConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        bound = socket.create_server((config.host, config.port), family=family, backlog=512)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        # Connections inherit it. asyncio sets it only where the protocol's number is set, and
        # without it every response and token waits 40 ms for the acknowledgement of the one before.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bound
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {config.host} port {config.port} ({error.strerror or error}): stop "
            "what listens there, or take another port with --port"
        ) from error


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    """Stop at SIGTERM and Ctrl-C, if this is the main thread."""
    numbers: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)
    try:
        for number in numbers:
            loop.add_signal_handler(number, stop)
    except (ValueError, RuntimeError, NotImplementedError):  # another thread, or Windows
        numbers = ()
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
