"""Work pools: where runs of deployments are executed, each type with a base job template.

The templates in ``flows/job_templates`` say what a job of a pool looks like and which variables a
deployment may change.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Literal

from gpt_core.config import build_config
from gpt_core.config.checks import require, require_at_least
from gpt_core.config.section import Section

PoolType = Literal["process", "docker", "kubernetes"]

_POOL_NAME = re.compile(r"\w[\w.-]{0,99}")
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN(_|$)|AUTH_STRING|(^|_)KEY$", re.IGNORECASE)
_REFERENCE = re.compile(r"\{\{.*\}\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool(Section):
    """A work pool and what a deployment's jobs in it look like."""

    name: str
    type: PoolType = "process"
    image: str | None = None
    """The container image of the jobs; the template's if not given."""

    limit: int | None = None
    """How many runs there may be at the same time."""

    job: Mapping[str, object] = field(default_factory=dict)
    """Variables of the job template, such as ``env`` and ``mem_limit``."""

    def __post_init__(self) -> None:
        require(
            bool(_POOL_NAME.fullmatch(self.name)),
            f"a name has letters, digits, '.', '_' and '-', got {self.name!r:.120}",
        )
        require(self.image is None or self.type != "process", "a pool of type process has no image")
        require_at_least(self, 1, "limit")

    @property
    def job_variables(self) -> dict[str, object]:
        """The variables of the job template that a deployment changes."""
        return {**self.job, **({"image": self.image} if self.image else {})}

    @property
    def template(self) -> dict[str, object]:
        """The base job template."""
        return read_template(self.type)


def read_template(type_: str) -> dict[str, object]:
    """The base job template of a type of pools."""
    text = files("flows").joinpath("job_templates", f"{type_}.json").read_text(encoding="utf-8")
    template: dict[str, object] = json.loads(text)
    return template


def read_pool(tree: object) -> Pool:
    """Build a pool from a table.

    Raises:
        ConfigError: If a value is wrong, a job variable is unknown, or one holds a secret.
    """
    require(isinstance(tree, Mapping), "write pool = { name = ..., type = ... }")
    rest = dict(tree)  # type: ignore[call-overload]
    job = rest.pop("job", {})
    require(isinstance(job, Mapping), f"job must be a table, got {job!r:.100}")
    pool = replace(build_config(Pool, rest), job=job)
    variables = pool.template["variables"]["properties"]  # type: ignore[index]
    unknown = [name for name in job if name not in variables]
    require(
        not unknown,
        f"a job of type {pool.type} has no {', '.join(unknown)}; it has {', '.join(variables)}",
    )
    for name, value in _texts(job):
        require(
            not _SECRET_NAME.search(name) or bool(_REFERENCE.fullmatch(value)),
            f"{name} would be stored in Prefect as it is: refer to a block, such as "
            "'{{ prefect.blocks.secret.NAME }}'",
        )
    return pool


def _texts(tree: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield name, value
