"""Build one checked ``RunConfig`` from a preset, a TOML file and ``section.field=value`` settings.

Strict: an unknown key, a wrong type or a value out of range is a ``ConfigError`` that names the
key, the value and what is allowed.
"""

import dataclasses
import difflib
import math
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gpt_core.config.presets import PRESETS
from gpt_core.config.run import RunConfig
from gpt_core.config.section import Section
from gpt_core.errors import ConfigError

Tree = Mapping[str, object]
"""Settings by name; a section is a tree in a tree."""

Config = TypeVar("Config", bound=Section)
_TYPE_NAMES: dict[object, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text"
}  # fmt: skip
_INT64 = range(-(2**63), 2**63)  # TOML's whole numbers


def load_config(
    preset: str = "tiny", file: Path | None = None, settings: Sequence[str] = ()
) -> RunConfig:
    """Build the configuration of a run; later sources override earlier ones.

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
        tree = _merge(tree, read_toml(file))
    for setting in settings:
        tree = _merge(tree, _parse_setting(setting))
    return build_config(RunConfig, tree)


def override_config(config: RunConfig, settings: Sequence[str] | Tree) -> RunConfig:
    """Change some settings of a configuration.

    Args:
        config: The configuration to begin with.
        settings: Assignments such as ``training.steps=500``, or a tree of sections and fields.

    Returns:
        A new configuration, every field checked.

    Raises:
        ConfigError: Naming the key that is unknown or the value that cannot be used.

    Example:
        >>> override_config(load_config("tiny"), {"training": {"steps": 30}}).training.steps
        30
    """
    tree: Tree = dataclasses.asdict(config)
    changes = [settings] if isinstance(settings, Mapping) else map(_parse_setting, settings)
    for change in changes:
        tree = _merge(tree, change)
    return build_config(RunConfig, tree)


def build_config(kind: type[Config], tree: Mapping[str, object]) -> Config:
    """Build a configuration from the values of its fields as JSON or TOML, checking each.

    Raises:
        ConfigError: Naming the key that is unknown or missing, or the value that cannot be used.
    """
    return _build(kind, tree, "")


def read_toml(file: Path) -> Tree:
    """Read a TOML file.

    Raises:
        ConfigError: If it does not exist, cannot be read or is no TOML.
    """
    try:
        if file.exists() and not file.is_file() and not file.is_relative_to("/dev"):
            what = "a folder" if file.is_dir() else "a pipe or a device"
            raise ConfigError(f"the configuration file {file} is {what}: give a TOML file")
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f"the configuration file {file} does not exist") from error
    except OSError as error:
        raise ConfigError(f"the configuration file {file} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:  # also a huge number or very deep nesting
        raise ConfigError(f"the configuration file {file} is not valid TOML: {error}") from error


def _parse_setting(setting: str) -> Tree:
    """Parse an assignment into a tree: ``a.b=1`` becomes ``{"a": {"b": 1}}``."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{setting!r} is not a setting: write section.field=value")
    value: object
    try:
        parsed = tomllib.loads(f"value = {text}")
        value = parsed["value"] if len(parsed) == 1 else text
    except (ValueError, RecursionError):
        value = None if text.strip().lower() in ("none", "null") else text
    *sections, name = key.strip().split(".")
    tree = {name: value}
    for section in reversed(sections):
        tree = {section: tree}
    return tree


def _merge(base: Tree, change: Tree) -> dict[str, object]:
    merged = dict(base)
    for key, value in change.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            value = _merge(before, value)
        merged[key] = value
    return merged


def _build(kind: type[Config], tree: Tree, path: str) -> Config:
    """Build a dataclass from a tree, field by field."""
    hints, names = get_type_hints(kind), [field.name for field in dataclasses.fields(kind)]
    for key in tree:
        if key not in names:
            elsewhere = _settings_named(key)
            advice = _did_you_mean(key, names, path)
            if elsewhere:
                advice = f"; did you mean {' or '.join(elsewhere)}?"
            raise ConfigError(f"there is no setting {path}{key}{advice}")
    for field in dataclasses.fields(kind):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in tree:
            raise ConfigError(f"the setting {path}{field.name} is missing")
    values = {key: _convert(hints[key], value, f"{path}{key}") for key, value in tree.items()}
    construct: Callable[..., Config] = kind
    try:
        return construct(**values)
    except ConfigError as error:
        message = str(error)
        raise ConfigError(
            message if not path or message.startswith(path) else f"{path}{message}"
        ) from error


def _convert(hint: object, value: object, key: str) -> object:
    """Convert a TOML or JSON value to a field's type; ConfigError if it does not fit."""
    if isinstance(hint, type) and issubclass(hint, Section):
        if not isinstance(value, Mapping):
            first = dataclasses.fields(hint)[0].name
            raise ConfigError(f"{key} is a section: set its fields, such as {key}.{first}=...")
        return _build(hint, value, f"{key}.")
    origin, options = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _choose(options, value, key)
    if origin in (Union, types.UnionType):  # Literal[...] | None, int | None
        if value is None and types.NoneType in options:
            return None
        (option,) = (option for option in options if option is not types.NoneType)
        return _convert(option, value, key)
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        if options[-1] is not Ellipsis and len(items) != len(options):
            raise ConfigError(f"{key} must be {len(options)} values, got {len(items)}")
        each = [options[0]] * len(items) if options[-1] is Ellipsis else options
        return tuple(_convert(*pair, key) for pair in zip(each, items, strict=True))
    return _convert_scalar(hint, value, key)


def _choose(options: Sequence[object], value: object, key: str) -> object:
    """Check a choice; the command line's bare ``none`` is that option where there is one."""
    if value is None and "none" in options:
        return "none"
    if value not in options:
        raise ConfigError(f"{key} must be one of {', '.join(map(str, options))}, got {value!r}")
    return value


def _convert_scalar(hint: object, value: object, key: str) -> object:
    """Convert to int, float, bool or str; a whole number is also a float or a text."""
    if type(value) is int and hint is str:
        return str(value)
    if type(value) is int:
        if value not in _INT64:
            raise ConfigError(f"{key} must be a number of at most 64 bits")
        value = float(value) if hint is float else value
    if type(value) is not hint:
        raise ConfigError(f"{key} must be {_TYPE_NAMES[hint]}, got {value!r}")
    if type(value) is str and any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(f"{key} must be Unicode text, got {value!r:.200}")
    if type(value) is float and not math.isfinite(value):
        raise ConfigError(f"{key} must be a number, got {value}")
    return value


def _settings_named(name: str) -> list[str]:
    """The settings with this field name in any section, such as ``compute.precision``."""
    sections = get_type_hints(RunConfig).items()
    return [
        f"{section}.{field.name}"
        for section, kind in sections
        if dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
        if field.name == name
    ]


def _did_you_mean(word: str, known: Iterable[str], path: str = "") -> str:
    """Suggest the nearest known name with the path before it, or list all of them."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {path}{near[0]}?" if near else f"; there are {', '.join(names)}"
