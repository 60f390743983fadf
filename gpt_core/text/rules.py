"""A cleaning rule: a name and a pure function from text to text.

To add one, write the function in ``arabic`` or ``english``, add it to ``RULES`` there, and add a
switch of the same name to ``CleaningConfig``.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A cleaning rule, named after its switch in ``CleaningConfig``."""

    name: str
    apply: Callable[[str], str]
