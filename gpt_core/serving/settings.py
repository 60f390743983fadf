"""Settings of the server: where it listens, how many requests it takes and how long it waits."""

import ipaddress
from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import (
    require,
    require_at_least,
    require_at_most,
    require_named,
    require_positive,
)
from gpt_core.config.section import Section

KEY_VARIABLE = "GPTFLOW_SERVE_KEY"
"""The environment variable with the key that clients must send."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingConfig(Section):
    """How a server listens, admits and stops."""

    host: str = "127.0.0.1"
    """Address to listen at; one that other machines reach needs a key."""

    port: int = 8000
    """Port to listen at; 0 takes a free one."""

    slots: int = 8
    """Requests of one model that are decoded at the same time."""

    threads: int | None = None
    """Threads that decode each language model; by default one fewer than there are cores, which
    leaves one for clients: threads that wait for a core make each other slow."""

    weights: Literal["auto", "plain", "packed", "bf16", "int8"] = "auto"
    """Form of the weights for decoding: ``auto`` tries at the start which exact one is faster;
    ``int8`` on a CPU takes a quarter of the memory traffic and ``bf16`` on a GPU half of it, both
    slightly less accurate."""

    steps: Literal["auto", "plain", "recorded", "compiled"] = "auto"
    """How a GPU decodes: ``auto`` launches recorded steps (CUDA graphs), ``compiled`` also fuses
    the kernels of a single request's step, which takes some ten seconds at the start."""

    queue: int = 64
    """Requests of one model that may wait for a slot; one more is answered with 429."""

    allowed_hosts: tuple[str, ...] = ()
    """Names under which clients reach the server, in addition to localhost and ``host``."""

    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may ask it, in addition to its own: ``https://example.org``."""

    max_body_bytes: int = 1 << 20
    """Largest body of a request; a larger one is answered with 413."""

    body_seconds: float = 10.0
    """Time for a client to send its body."""

    queue_seconds: float = 60.0
    """Time that a request may wait for its first token before it is answered with 503."""

    request_seconds: float = 600.0
    """Time that a request may take in all."""

    send_seconds: float = 30.0
    """Time that a client may leave a part of a stream unread before the request is cancelled."""

    stop_seconds: float = 30.0
    """After SIGTERM, time for the requests that are running."""

    stall_seconds: float = 60.0
    """A model whose step takes longer is reported as stalled by ``/health``."""

    def __post_init__(self) -> None:
        require_named(self, "host")
        require_at_least(self, 0, "port", "queue")
        require_at_most(self, 65535, "port")
        require_at_least(self, 1, "slots", "threads", "max_body_bytes")
        require_at_most(self, 1024, "slots")
        require_positive(
            self, "body_seconds", "queue_seconds", "request_seconds", "send_seconds",
            "stop_seconds", "stall_seconds",
        )  # fmt: skip
        for origin in self.allowed_origins:
            plain = origin.startswith(("http://", "https://")) and origin.count("/") == 2
            require(plain, f"an origin is like https://example.org, got {origin!r}")

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
