"""Results that this home has not published yet: a file for each stage, until the store has it."""

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass

from gpt_core.artifact import to_json_value
from gpt_core.durable import make_directory
from gpt_core.files import atomic_write_text, write_json
from tasks.paths import unpublished_dir

_HOME = "home.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A stage whose result, or whose newest checkpoint, the store may lack."""

    key: str
    """The stage's key."""

    store: str
    """The store's address."""

    run_dir: str = ""
    """The directory of a training in progress, seen from the home; else empty."""

    again: bool = False
    """The store has an altered object of it: everything is uploaded again."""


def add_pending(pending: Pending) -> None:
    """Note that something is to be published."""
    make_directory(unpublished_dir())
    values = to_json_value(pending)
    assert isinstance(values, dict)
    write_json(unpublished_dir() / f"{pending.key}.json", values)


def remove_pending(key: str) -> None:
    """Note that the store has what was to be published."""
    with suppress(OSError):
        (unpublished_dir() / f"{key}.json").unlink(missing_ok=True)


def list_pending(store: str) -> list[Pending]:
    """Everything that this home has yet to publish in a store."""
    found = []
    for file in sorted(unpublished_dir().glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            pending = Pending(**json.loads(file.read_text(encoding="utf-8")))
            if pending.store == store and file.stem == pending.key:
                found.append(pending)
    return found


def home_identity() -> str:
    """A random text that tells this home from others, made when it is asked for first."""
    file = unpublished_dir() / _HOME
    if not file.is_file():
        make_directory(file.parent)
        with atomic_write_text(file) as content:
            content.write(secrets.token_hex(16))
    return file.read_text(encoding="utf-8")
