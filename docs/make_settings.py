"""Write ``settings.md``: every setting with its values, default and meaning, from the classes.

Run it as ``make docs`` or ``python docs/make_settings.py``; a test compares the file with the
classes.
"""

import ast
import dataclasses
import inspect
import itertools
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpt_core.config import PRESETS, RunConfig

PAGE = Path(__file__).with_name("settings.md")
INTRODUCTION = """# Settings

Every setting of a run, generated from `gpt_core/config` by `make docs`. On the command line a
setting is `section.field=value`, such as `gptflow run training.steps=500`; in a TOML file
(`--config FILE`) it is `field = value` below `[section]`. What is given on the command line
replaces the file, and the file replaces the preset (`--preset NAME`). `none` unsets a value; a
list is written `'["a", "b"]'`.
"""
TYPES = {int: "integer", float: "number", bool: "`true`, `false`", str: "text"}


def render() -> str:
    """The complete page in Markdown."""
    sections = [(field.name, hint) for field, hint in _fields(RunConfig) if _is_section(hint)]
    names = " · ".join(f"[{name}](#{name})" for name, _ in sections)
    parts = [INTRODUCTION, f"Sections: [run](#run) · {names} · [presets](#presets)\n"]
    parts.append(_section("run", RunConfig, "The run itself; its settings have no section."))
    parts += [_section(name, section, inspect.getdoc(section) or "") for name, section in sections]
    parts.append(_presets())
    return "\n".join(parts)


def _section(name: str, section: type, text: str) -> str:
    """A section's heading and the table of its fields."""
    prefix = "" if section is RunConfig else f"{name}."
    documentation = _documentation(section)
    rows = [
        f"| `{prefix}{field.name}` | {_values(hint)} | {_default(field)} "
        f"| {documentation.get(field.name, '')} |"
        for field, hint in _fields(section)
        if not _is_section(hint)
    ]
    head = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {name}", "", _inline(text), "", *head, *rows, ""])


def _fields(section: type) -> Iterator[tuple[dataclasses.Field[object], object]]:
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        yield field, hints[field.name]


def _is_section(hint: object) -> typing.TypeGuard[type]:
    return dataclasses.is_dataclass(hint)


def _documentation(section: type) -> dict[str, str]:
    """The text below each field in the source of its class or of a base class."""
    texts: dict[str, str] = {}
    for cls in reversed(section.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        body = ast.parse(inspect.getsource(cls)).body[0]
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in itertools.pairwise(statements):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    texts[name] = _inline(words)
    return texts


def _inline(text: str) -> str:
    """A docstring as one line of Markdown."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _values(hint: object) -> str:
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{option}`" for option in options)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return ", ".join(
            "`none`" if option is types.NoneType else _values(option) for option in options
        )
    if typing.get_origin(hint) is tuple:
        return f"list of {_values(options[0])}"
    return TYPES[typing.cast(type, hint)]


def _default(field: "dataclasses.Field[object]") -> str:
    if field.default is not dataclasses.MISSING:
        return _written(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _written(field.default_factory())
    return "required"


def _written(value: object) -> str:
    """A value as it is written on the command line."""
    match value:
        case None:
            return "`none`"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple() | list():
            return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
        case "":
            return '`""`'
    return f"`{value}`"


def _presets() -> str:
    """A table of presets: what each sets, an empty cell being the default."""
    leaves = {name: dict(_leaves(settings)) for name, settings in PRESETS.items()}
    settings = list(dict.fromkeys(key for preset in leaves.values() for key in preset))
    order = {f"{name}": index for index, name in enumerate(_all_settings())}
    rows = [
        f"| `{key}` | "
        + " | ".join(_written(preset[key]) if key in preset else "" for preset in leaves.values())
        + " |"
        for key in sorted(settings, key=order.__getitem__)
    ]
    head = ["| setting | " + " | ".join(leaves) + " |", "|---" * (len(leaves) + 1) + "|"]
    text = "What each preset sets; where a cell is empty, the default holds."
    return "\n".join(["## presets", "", text, "", *head, *rows, ""])


def _leaves(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _all_settings() -> Iterator[str]:
    for field, hint in _fields(RunConfig):
        if _is_section(hint):
            yield from (f"{field.name}.{inner.name}" for inner, _ in _fields(hint))
        else:
            yield field.name


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name} is written\n")
