"""What a cleaning rule is: a name and a pure function from text to text."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of cleaning; it bears the name of its switch in ``CleaningConfig``."""

    name: str
    apply: Callable[[str], str]
