"""Range checks for settings: each error names the field, the value and the allowed range."""

from gpt_core.errors import ConfigError


def require(holds: bool, message: str) -> None:
    """Raise ``ConfigError(message)`` unless the condition holds."""
    if not holds:
        raise ConfigError(message)


def require_at_least(config: object, minimum: float, *names: str) -> None:
    """Require that each named field is None or at least ``minimum``."""
    for name in names:
        value = getattr(config, name)
        require(
            value is None or value >= minimum, f"{name} must be at least {minimum}, got {value}"
        )


def require_positive(config: object, *names: str) -> None:
    """Require that each named field is None or greater than zero."""
    for name in names:
        value = getattr(config, name)
        require(value is None or value > 0, f"{name} must be greater than 0, got {value}")


def require_at_most(config: object, maximum: float, *names: str) -> None:
    """Require that each named field is None or at most ``maximum``."""
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
    for name in names:
        value = getattr(config, name)
        require(0 <= value < 1, f"{name} must be in [0, 1), got {value}")
