"""The base class of all configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A group of settings: a frozen dataclass whose fields have a type, a default and a docstring.

    When Pydantic builds one from a form or a request, it refuses unknown fields and shows each
    field's docstring.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }
