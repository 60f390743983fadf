"""Configurations of only the sections that a flow reads: its form, its parameters, its record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass
from functools import cache
from typing import Annotated, get_type_hints

from pydantic import Field, TypeAdapter

from gpt_core.config import RunConfig, load_config, override_config
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True)
class Form(Section):
    """The base of all forms: the run's name, and in subclasses some of the sections."""

    name: str = "run"


@cache
def form_class(sections: tuple[str, ...]) -> type[Form]:
    """A form of these sections, with the descriptions of ``RunConfig``.

    All sections are required: if one were left out of a run of a deployment, its default would
    take the place of what the deployment says.

    Args:
        sections: Names of ``RunConfig``'s fields, in the order in which they are shown.
    """
    types = get_type_hints(RunConfig)
    shown = TypeAdapter(RunConfig).json_schema()["properties"]
    described = [
        (name, Annotated[types[name], Field(description=shown[name].get("description"))])
        for name in sections
    ]
    return make_dataclass(
        "FlowConfig",
        described,
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


def resolve(
    config: RunConfig,
    preset: str | None = None,
    settings: Sequence[str] | Mapping[str, object] | None = None,
) -> RunConfig:
    """The configuration of a deployment's run.

    Args:
        config: What the deployment's form holds.
        preset: Begin from this preset instead.
        settings: Changes, made last.

    Raises:
        ConfigError: Naming the preset or key that is unknown or the value that cannot be used.
    """
    return override_config(load_config(preset) if preset else config, settings or ())
