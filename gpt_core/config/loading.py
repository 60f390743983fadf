"""From a preset, a TOML file and ``section.field=value`` settings to one checked ``RunConfig``.

Strict: an unknown key, a wrong type or a value out of range is a ``ConfigError`` that names the
key, what came and what is allowed.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpt_core.config.presets import PRESETS, Settings
from gpt_core.config.run import RunConfig
from gpt_core.errors import ConfigError

Config = typing.TypeVar("Config")


def load_config(
    preset: str = "tiny", file: Path | None = None, settings: Sequence[str] = ()
) -> RunConfig:
    """Build the configuration of a run; what comes later wins.

    Args:
        preset: A name in ``PRESETS``.
        file: A TOML file with sections and fields, or None.
        settings: Assignments such as ``training.steps=500``. Values are TOML; a bare word is a
            string.

    Returns:
        The configuration, every field checked.

    Raises:
        ConfigError: Naming the key that is unknown or the value that cannot be used.

    Example:
        >>> load_config("tiny", settings=["training.steps=500"]).training.steps
        500
    """
    if preset not in PRESETS:
        raise ConfigError(f"there is no preset {preset!r}{_did_you_mean(preset, PRESETS)}")
    tree = _merge({}, PRESETS[preset])
    if file is not None:
        tree = _merge(tree, _read_toml(file))
    for setting in settings:
        tree = _merge(tree, _parse_setting(setting))
    return build_config(RunConfig, tree)


def build_config(kind: type[Config], tree: Mapping[str, Any]) -> Config:
    """A configuration from its fields as JSON or TOML has them, each of them checked.

    Raises:
        ConfigError: Naming the key that is unknown or the value that cannot be used.
    """
    return typing.cast(Config, _build(kind, dict(tree), ""))


def _read_toml(file: Path) -> Settings:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f"the configuration file {file} does not exist") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration file {file} is not valid TOML: {error}") from error


def _parse_setting(setting: str) -> Settings:
    """One assignment as a tree: ``a.b=1`` becomes ``{"a": {"b": 1}}``."""
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{setting!r} is not a setting: write section.field=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = None if value.strip().lower() in ("none", "null") else value
    tree: Any = parsed
    for part in reversed(key.strip().split(".")):
        tree = {part: tree}
    return typing.cast(Settings, tree)


def _merge(base: Settings, change: Settings) -> Settings:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _build(cls: type, tree: Settings, path: str) -> object:
    """A dataclass from a tree, field by field."""
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    for key in tree:
        if key not in names:
            raise ConfigError(f"there is no setting {path}{key}{_did_you_mean(key, names)}")
    values = {key: _convert(hints[key], value, f"{path}{key}") for key, value in tree.items()}
    try:
        return cls(**values)
    except ConfigError as error:
        message = str(error)
        raise ConfigError(
            message if not path or message.startswith(path) else f"{path}{message}"
        ) from error


def _convert(hint: Any, value: Any, key: str) -> Any:
    """A TOML value as a field's type, or a ``ConfigError`` that says what is allowed."""
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            first = dataclasses.fields(hint)[0].name
            raise ConfigError(f"{key} is a section: set its fields, such as {key}.{first}=...")
        return _build(typing.cast(type, hint), value, f"{key}.")
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in options:
            raise ConfigError(f"{key} must be one of {', '.join(map(str, options))}, got {value!r}")
        return value
    if origin is types.UnionType:
        if value is None:
            return None
        return _convert(
            next(option for option in options if option is not types.NoneType), value, key
        )
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_convert(options[0], item, key) for item in items)
    if type(value) is int and hint in (float, str):
        return hint(value)
    if type(value) is not hint:
        raise ConfigError(f"{key} must be {_TYPE_NAMES[hint]}, got {value!r}")
    return value


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or the list of all of them."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
