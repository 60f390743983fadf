"""The source of the core's functions and classes, read from the code that runs."""

import inspect
from dataclasses import dataclass
from functools import reduce
from importlib import import_module

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a function or class."""

    name: str
    """Such as ``GPT.hidden``."""

    place: str
    """File and line, such as ``gpt_core/models/gpt.py:83``."""

    code: str

    @property
    def html(self) -> str:
        """The code with its syntax marked for ``style_sheet``."""
        return str(highlight(self.code, PythonLexer(), HtmlFormatter(nowrap=True)))


def read_source(address: str) -> Source:
    """Read the source of ``module:name`` or ``module:Class.method``.

    Raises:
        AttributeError: If the module has no such name.
    """
    module, _, name = address.partition(":")
    found = reduce(getattr, name.split("."), import_module(module))
    lines, first = inspect.getsourcelines(found)
    place = f"{module.replace('.', '/')}.py:{first}"
    return Source(name, place, inspect.cleandoc("\n" + "".join(lines)))


def style_sheet(style: str, scope: str) -> str:
    """The rules of a Pygments style for the code inside of a selector."""
    return str(HtmlFormatter(style=style).get_style_defs(f"{scope} .code"))
