"""The base class of all configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gpt_core.config.checks import bounds_of


def _show_bounds(schema: dict[str, dict[str, dict[str, object]]], kind: type) -> None:
    """Add the ranges of a class of settings to its JSON schema."""
    for name, bounds in bounds_of(kind).items():
        shown = schema["properties"][name]
        options = shown.get("anyOf", [shown])  # or None
        for option in options if isinstance(options, list) else ():
            if option.get("type") in ("integer", "number"):
                option.update(bounds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A group of settings: a frozen dataclass whose fields have a type, a default and a docstring.

    When Pydantic builds one from a form or a request, it refuses unknown fields and shows each
    field's docstring and the range that the class checks.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
        "json_schema_extra": _show_bounds,
    }
