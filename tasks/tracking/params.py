"""Settings as MLflow parameters: flat, short and without secrets."""

import json
import re
from collections.abc import Mapping

from gpt_core.redaction import redact

_LONGEST = 500  # characters; MLflow refuses longer values
_SECRET = re.compile(
    r"(^|[._-])(password|secret|api_?key|access_?token|credential)s?($|[._-])", re.I
)


def flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Flatten nested settings to ``section.field``; values that look like secrets are left out.

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
    """Truncate a text to the length that MLflow takes, with an ellipsis.

    Example:
        >>> len(shorten("x" * 9000)), shorten("x" * 9000)[-2:], shorten("short")
        (500, 'x…', 'short')
    """
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def plain_name(name: str) -> str:
    """Replace the characters that MLflow refuses in names.

    Example:
        >>> plain_name("loss (nats)")
        'loss _nats_'
    """
    return re.sub(r"[^\w./ :-]", "_", name)


def _text(value: object) -> str:
    return redact(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
