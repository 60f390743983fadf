"""Settings as MLflow takes them: flat, short and without secrets."""

import json
import re
from collections.abc import Mapping
from typing import Any

_LONGEST = 500  # characters; MLflow refuses longer values
_SECRET = re.compile(
    r"(^|[._-])(password|secret|api_?key|access_?token|credential)s?($|[._-])", re.I
)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as ``section.field``, without anything that looks like a secret.

    Example:
        >>> flatten({"model": {"n_layer": 2}, "api_key": "x"})
        {'model.n_layer': '2', 'api_key': '(not recorded)'}
    """
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            shown = "(not recorded)" if _SECRET.search(key) else _text(value)
            flat[plain_name(f"{prefix}{key}")] = shorten(shown)
    return flat


def shorten(text: str) -> str:
    """As much of a text as MLflow takes, marked where it is cut.

    Example:
        >>> len(shorten("x" * 9000)), shorten("x" * 9000)[-2:], shorten("short")
        (500, 'x…', 'short')
    """
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def plain_name(name: str) -> str:
    """A name with nothing in it that MLflow refuses.

    Example:
        >>> plain_name("loss (nats)")
        'loss _nats_'
    """
    return re.sub(r"[^\w./ :-]", "_", name)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
