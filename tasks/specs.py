"""The table of stages: each one's name, core package and kind of result.

Cache keys, folders and plans follow from it. ``tasks.stage.stage`` fills it as ``tasks.stages`` is
imported, so that a part that is wrong or missing is an error at import.
"""

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gpt_core.manifest import KINDS


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A row of the table of stages.

    Raises:
        ValueError: If the core exports no such function, or the kind is unknown.
    """

    name: str
    """The name of the stage, of its task and of its function in the core."""

    package: str
    """The package of ``gpt_core`` that exports the function."""

    kind: str
    """The kind of artifact that it makes, one of ``KINDS``."""

    def __post_init__(self) -> None:
        package = find_spec(f"gpt_core.{self.package}")
        if package is None or package.origin is None:
            raise ValueError(f"stage {self.name}: there is no package gpt_core.{self.package}")
        if self.name not in _exports(Path(package.origin)):
            raise ValueError(f"stage {self.name}: gpt_core.{self.package} does not export it")
        if self.kind not in KINDS:
            raise ValueError(
                f"stage {self.name}: kind must be one of {', '.join(KINDS)}, got {self.kind!r}"
            )


STAGES: dict[str, StageSpec] = {}
"""Every stage by its name."""


def register(spec: StageSpec) -> StageSpec:
    """Add a stage to the table.

    Raises:
        ValueError: If there is one of that name already.
    """
    if spec.name in STAGES:
        raise ValueError(f"there are two stages named {spec.name}")
    STAGES[spec.name] = spec
    return spec


def _exports(file: Path) -> set[str]:
    """The names that a module binds and lists in ``__all__``.

    They are read from its source, because importing torch with it would take seconds.
    """
    listed: set[str] = set()
    bound: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed |= set(ast.literal_eval(node.value))
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    return listed & bound
