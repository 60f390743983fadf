"""A proxy between a client and a server that goes away, hangs for a while, or is cut off."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress

from http_server import free_port

_CHUNK = 1 << 16


class Proxy:
    """Forwards a port of this machine to another one.

    Args:
        target: The server's port.
    """

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.answered = 0
        """Bytes of the server's answers so far."""
        self.cut_after: int | None = None
        """Bytes of answers after which a connection is closed."""

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Forward during the block."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self.forward()
        try:
            yield self
        finally:
            self.refuse()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def forward(self) -> None:
        """Forward from now on, also what was held back."""
        self._do(self._forward())

    def refuse(self) -> None:
        """Close all connections and accept none, as if the server had ended."""
        self._do(self._refuse())

    def hang(self) -> None:
        """Accept connections, and forward nothing."""
        self._do(self._hang())

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    async def _forward(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._flowing.set()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.close()

    async def _hang(self) -> None:
        self._flowing.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer, answers=True))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        total = 0
        with suppress(OSError):
            while content := await reader.read(_CHUNK):
                await self._flowing.wait()
                if answers:
                    total += len(content)
                    self.answered += len(content)
                    if self.cut_after is not None and total > self.cut_after:
                        break
                writer.write(content)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)
