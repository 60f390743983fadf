"""Configurations of only the sections that a flow reads: its form, its parameters, its record."""

from copy import copy
from dataclasses import dataclass, fields, make_dataclass
from functools import cache
from typing import Annotated, get_type_hints

from pydantic import Field, TypeAdapter

from gpt_core.config import RunConfig
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True)
class Form(Section):
    """The base of all forms: the run's name, and in subclasses some of the sections."""

    name: str = "run"


@cache
def form_class(sections: tuple[str, ...]) -> type[Form]:
    """A form of these sections, with the defaults and descriptions of ``RunConfig``.

    Args:
        sections: Names of ``RunConfig``'s fields, in the order in which they are shown.
    """
    types = get_type_hints(RunConfig)
    known = {each.name: each for each in fields(RunConfig)}
    shown = TypeAdapter(RunConfig).json_schema()["properties"]
    described = [
        (name, Annotated[types[name], Field(description=shown[name].get("description"))])
        for name in ("name", *sections)
    ]
    return make_dataclass(
        "FlowConfig",
        [(name, kind, copy(known[name])) for name, kind in described],
        bases=(Form,),
        namespace={"__pydantic_config__": {"extra": "forbid"}},  # the descriptions are there
        frozen=True,
        kw_only=True,
    )


def to_form(config: RunConfig, sections: tuple[str, ...]) -> Form:
    """Reduce a configuration to its name and some of its sections."""
    values = {name: getattr(config, name) for name in ("name", *sections)}
    return form_class(sections)(**values)


def to_config(form: Form) -> RunConfig:
    """Complete a form with the defaults of the sections that it does not have.

    Raises:
        ConfigError: If sections do not agree with each other.
    """
    return RunConfig(**{each.name: getattr(form, each.name) for each in fields(form)})
