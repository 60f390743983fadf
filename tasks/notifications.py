"""Messages about runs by mail, chat or webhook, sent from a background thread.

The addresses are secrets: they are read from the environment and appear in no message. Apprise
knows the services; a message that cannot be sent is a warning in the log and nothing else.
"""

import asyncio
import inspect
import logging
import os
import threading
import time
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from gpt_core.config import (
    NotifyConfig,
    NotifyEvent,
    RunConfig,
    build_config,
    override_config,
)
from gpt_core.errors import ConfigError, GPTCoreError
from gpt_core.redaction import redact
from tasks.progress import Display, current_display

if TYPE_CHECKING:
    from apprise import Apprise

ADDRESSES = "GPTFLOW_NOTIFY"
"""The environment variable with the addresses, separated by white space."""

_RETRIES, _PAUSE_SECONDS, _ANSWER_SECONDS = 3, 1.0, 5
_FLUSH_SECONDS = 60.0
_LONGEST = 1500  # characters of a text
_WEBHOOK = {"http": "json", "https": "jsons"}
"""Apprise's schemes of web addresses that belong to none of the services that it knows."""

_SENDING: set[threading.Thread] = set()


@dataclass(frozen=True, slots=True)
class Message:
    """A title and a text about something that happened to a run."""

    event: NotifyEvent
    title: str
    text: str


def send_message(message: Message, config: NotifyConfig) -> None:
    """Send a message in the background if the configuration wants it; returns at once."""
    if message.event not in config.on or not (_addresses() or config.block):
        return
    shown = Message(message.event, redact(message.title), redact(message.text)[:_LONGEST])
    work = partial(copy_context().run, _send_all, shown, config.block, current_display())
    thread = threading.Thread(target=work, name="notification", daemon=True)
    _SENDING.add(thread)
    thread.start()


def config_of(parameters: Mapping[str, object]) -> NotifyConfig:
    """The configuration of notifications in the parameters of a flow run.

    Example:
        >>> config_of({"config": {"notify": {"on": ["failed"]}}, "settings": None}).on
        ('failed',)
        >>> config_of({"config": {}, "settings": ["training.steps=5", "notify.on=[]"]}).on
        ()
    """
    form, settings = parameters.get("config"), parameters.get("settings")
    given = form.get("notify") if isinstance(form, Mapping) else None
    changes: list[str] | dict[str, object] = []
    if isinstance(settings, Mapping):
        changes = {"notify": settings["notify"]} if "notify" in settings else {}
    elif isinstance(settings, list):
        changes = [each for each in settings if str(each).startswith("notify.")]
    try:
        config = build_config(NotifyConfig, given) if isinstance(given, Mapping) else NotifyConfig()
        return override_config(RunConfig(notify=config), changes).notify
    except GPTCoreError:
        return NotifyConfig()  # of a later version, or a run that its own check refused


def killed_message(name: str, more: str = "") -> Message:
    """The message about a run whose process was killed.

    Args:
        name: The flow and the run.
        more: What comes next.
    """
    return Message("crashed", f"{name} was killed", f"its process ended without a word{more}")


def flush(seconds: float = _FLUSH_SECONDS) -> None:
    """Wait until everything is sent or given up, no longer than some seconds."""
    until = time.monotonic() + seconds
    for thread in tuple(_SENDING):
        thread.join(max(0.0, until - time.monotonic()))
        _SENDING.discard(thread)


def check_addresses() -> None:
    """Check that the addresses are those of services.

    Raises:
        ConfigError: If one is not; it is a secret, so that only its place is said.
    """
    for number, address in enumerate(_addresses(), start=1):
        _open(address, number)


def _send_all(message: Message, block: str | None, display: Display) -> None:
    """Send a message to every address and through the block; say which did not take it."""
    for number, address in enumerate(_addresses(), start=1):
        try:
            sent, place = _send(message, address, number), f"address {number} of {ADDRESSES}"
        except Exception as error:  # of a service's library; a run does not fail because of it
            sent, place = False, f"address {number} of {ADDRESSES}: {type(error).__name__}"
        if not sent:
            display.notice(f"a notification was not sent: {place} did not take it")
    if block:
        try:
            _send_by_block(message, block)
        except Exception as error:
            display.notice(f"a notification was not sent by {block}: {type(error).__name__}")


def _send(message: Message, address: str, number: int) -> bool:
    from apprise import NotifyFormat

    service, is_webhook = _open(address, number)
    title = "" if is_webhook else message.title
    text = f"{message.title}\n{message.text}" if is_webhook else message.text
    return bool(service.notify(body=text, title=title, body_format=NotifyFormat.TEXT))


def _send_by_block(message: Message, name: str) -> None:
    """Send a message through a block of Prefect.

    Raises:
        ConfigError: If it is another kind of block.
    """
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise ConfigError(f"notify.block must name a notification block, {name} is none")
    with block.raise_on_failure():
        sending: object = block.notify(body=message.text, subject=message.title)
        if inspect.iscoroutine(sending):  # of a block that has only that form
            asyncio.run(sending)


def _addresses() -> list[str]:
    return os.environ.get(ADDRESSES, "").split()


def _open(address: str, number: int) -> "tuple[Apprise, bool]":
    """The service at an address, and whether it is a webhook of none that Apprise knows.

    Raises:
        ConfigError: If there is none.
    """
    from apprise import Apprise, AppriseAsset

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it shows parts of addresses
    asset = AppriseAsset(
        app_id="gptflow", app_desc="gptflow", default_service_retry=_RETRIES,
        default_service_wait=_PAUSE_SECONDS,
    )  # fmt: skip
    service = Apprise(asset=asset)
    if service.add(address):
        return service, False
    if urlsplit(address).scheme in _WEBHOOK and service.add(_as_webhook(address)):
        return service, True
    raise ConfigError(
        f"address {number} of {ADDRESSES} must be that of a webhook (https://...), of mail "
        "(mailtos://NAME:PASSWORD@HOST?to=...) or of another service of Apprise"
    )


def _as_webhook(address: str) -> str:
    """An address at which Apprise posts JSON with the message as ``text``, as Slack takes it.

    Example:
        >>> _as_webhook("https://host/hooks/1?token=a")
        'jsons://host/hooks/1?-token=a&%3Amessage=text&rto=5&cto=5'
    """
    parts = urlsplit(address)
    given = [(f"-{name}", value) for name, value in parse_qsl(parts.query)]
    timeouts = [(name, str(_ANSWER_SECONDS)) for name in ("rto", "cto")]
    query = urlencode([*given, (":message", "text"), *timeouts], quote_via=quote)
    return urlunsplit(parts._replace(scheme=_WEBHOOK[parts.scheme], query=query))
