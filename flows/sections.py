"""Find the sections of the configuration that a flow's code reads."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from types import CodeType, FunctionType

from gpt_core.config import RunConfig

SECTIONS = frozenset(section.name for section in fields(RunConfig))
"""The names of ``RunConfig``'s sections and fields."""


def sections_read(function: Callable[..., object]) -> frozenset[str]:
    """Find the sections that a flow's code reads, with that of the flows and helpers it calls.

    Args:
        function: A function of this package.
    """
    found: set[str] = set()
    seen: set[object] = set()
    waiting: list[object] = [function]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, FunctionType) or current in seen:
            continue
        seen.add(current)
        for name in _names(current.__code__):
            if name in SECTIONS:
                found.add(name)
            member = vars(RunConfig).get(name)
            if isinstance(member, property):  # a bundle of sections, such as ``pretrain``
                waiting.append(member.fget)
            called = current.__globals__.get(name)
            if isinstance(called, FunctionType) and called.__module__.startswith("flows."):
                waiting.append(called)
    return frozenset(found)


def _names(code: CodeType) -> Iterator[str]:
    """The globals and attributes that a function's code uses, in its comprehensions too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
