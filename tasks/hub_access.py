"""Credentials for model hubs: the user's token goes to their own hub, a password to its mirror.

The hub's library sends the token to every address that it is given, and some headers on to where
an answer redirects. Here every request, redirected ones included, is checked before it is sent.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from gpt_core.errors import ConfigError
from gpt_core.redaction import split_authorization
from tasks.addresses import full_address

Client = TypeVar("Client")
Origin = tuple[str, str, int | None]
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Url(Protocol):
    """The address of a request."""

    scheme: str
    host: str
    port: int | None


class Request(Protocol):
    """A request that is about to be sent."""

    url: Url
    headers: dict[str, str]


def open_hub(mirror: str) -> HfApi:
    """A client of a hub, which sends credentials nowhere else.

    Args:
        mirror: The hub's address, as in ``gpt2.mirrors``.

    Raises:
        ConfigError: If it is not an address.
    """
    address, authorization = split_authorization(full_address(mirror).rstrip("/"))
    guard = partial(_guard, _origin(address), authorization)
    set_client_factory(partial(_guarded_client, default_client_factory, guard))
    token = None if gets_token(address) and not authorization else False  # None: the user's own
    return HfApi(endpoint=address, token=token)


def gets_token(address: str) -> bool:
    """Whether a hub gets the user's token (``HF_TOKEN``, or that of ``hf auth login``).

    Only the hub that the token is for does, ``HF_ENDPOINT`` or else huggingface.co, and never
    over a connection that others can read.
    """
    own, asked = _origin(constants.ENDPOINT), _origin(address)
    return asked == own and (own[0] == "https" or own[1] in _LOOPBACK)


def _guarded_client(make: Callable[[], Client], guard: Callable[[Request], None]) -> Client:
    client = make()
    client.event_hooks["request"].append(guard)  # type: ignore[attr-defined]
    return client


def _guard(origin: Origin, authorization: str, request: Request) -> None:
    """Take credentials from a request to another place than the hub that was asked."""
    url = request.url
    if (url.scheme, url.host, url.port or _PORTS.get(url.scheme)) != origin:
        request.headers.pop("authorization", None)
    elif authorization:
        request.headers["authorization"] = authorization


def _origin(address: str) -> Origin:
    try:
        parts = urlsplit(address)
        place = parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise ConfigError(f"{address} is not an address: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigError(f"a hub's address must begin with https:// or http://, got {address}")
    return place
