"""Secrets with a mark, and the search for that mark in what is kept and in arguments."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CANARY = "c4n4ry"
"""Part of every secret; what has it has seen a secret."""


def basic(secret: str) -> str:
    """The header by which the user ``me`` authorizes itself."""
    return f"Basic {base64.b64encode(f'me:{secret}'.encode()).decode()}"


def secrets_in(content: bytes) -> bool:
    """Whether bytes have a secret, as it is or as a header has it."""
    encoded = (base64.b64encode(f"{lead}{CANARY}".encode())[:-4] for lead in ("me:", "me:hf_", ""))
    return any(each in content for each in (CANARY.encode(), *encoded))


@dataclass
class Watch:
    """Looks at the arguments of every process of this machine until it is stopped."""

    seen: int = 0
    found: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Note the processes whose arguments have a secret."""
        while not self.ending.wait(0.3):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    arguments = file.read_bytes()
                    self.seen += 1
                    if CANARY.encode() in arguments:
                        self.found.append(arguments.decode(errors="replace"))


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch the arguments of processes during a block."""
    watch = Watch()
    thread = threading.Thread(target=watch.look)
    thread.start()
    try:
        yield watch
    finally:
        watch.ending.set()
        thread.join()
