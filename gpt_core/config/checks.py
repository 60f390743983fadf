"""Range checks for settings: each error names the field, the value and the allowed range.

The checks of a class are also where a form learns the ranges of its fields: ``bounds_of`` makes an
instance and records them.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, fields

from gpt_core.errors import ConfigError


@dataclass
class _Recorder:
    """The ranges that the checks of one class apply to its fields, in the terms of JSON Schema."""

    kind: type
    bounds: dict[str, dict[str, float]] = field(default_factory=dict)


_RECORDER: ContextVar[_Recorder | None] = ContextVar("_RECORDER", default=None)


def bounds_of(kind: type) -> dict[str, dict[str, float]]:
    """The ranges of a configuration's fields, such as ``{"steps": {"minimum": 1}}``.

    Args:
        kind: A class of settings whose fields all have defaults.
    """
    recorder = _Recorder(kind)
    token = _RECORDER.set(recorder)
    try:
        kind()
    finally:
        _RECORDER.reset(token)
    names = {each.name for each in fields(kind)}  # a base class may check what this one lacks
    return {name: bounds for name, bounds in recorder.bounds.items() if name in names}


def _record(config: object, names: Sequence[str], **bounds: float) -> None:
    recorder = _RECORDER.get()
    if recorder is not None and type(config) is recorder.kind:
        for name in names:
            recorder.bounds.setdefault(name, {}).update(bounds)


def require(holds: bool, message: str) -> None:
    """Raise ``ConfigError(message)`` unless the condition holds."""
    if not holds:
        raise ConfigError(message)


def require_at_least(config: object, minimum: float, *names: str) -> None:
    """Require that each named field is None or at least ``minimum``."""
    _record(config, names, minimum=minimum)
    for name in names:
        value = getattr(config, name)
        require(
            value is None or value >= minimum, f"{name} must be at least {minimum}, got {value}"
        )


def require_positive(config: object, *names: str) -> None:
    """Require that each named field is None or greater than zero."""
    _record(config, names, exclusiveMinimum=0)
    for name in names:
        value = getattr(config, name)
        require(value is None or value > 0, f"{name} must be greater than 0, got {value}")


def require_at_most(config: object, maximum: float, *names: str) -> None:
    """Require that each named field is None or at most ``maximum``."""
    _record(config, names, maximum=maximum)
    for name in names:
        value = getattr(config, name)
        require(value is None or value <= maximum, f"{name} must be at most {maximum}, got {value}")


def require_named(config: object, *names: str) -> None:
    """Require that each named field is None or a text that is not blank and has no NUL."""
    for name in names:
        value = getattr(config, name)
        require(
            value is None or bool(value.strip() and "\0" not in value),
            f"{name} must name something, got {value!r}",
        )


def require_share(config: object, *names: str) -> None:
    """Require that each named field is in [0, 1)."""
    _record(config, names, minimum=0, exclusiveMaximum=1)
    for name in names:
        value = getattr(config, name)
        require(0 <= value < 1, f"{name} must be in [0, 1), got {value}")
