"""The base class of all configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from gpt_core.config.checks import bounds_of

UNRECORDED: Mapping[str, str] = MappingProxyType({"recorded": "never"})
"""Metadata of a field that no artifact records, such as a path whose content is a parent of it."""

RECORDED_IF_SET: Mapping[str, str] = MappingProxyType({"recorded": "if set"})
"""Metadata of a field that artifacts record only where it differs from its default.

A setting that is added with this leaves the fingerprints of all artifacts that do not use it.
"""


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
