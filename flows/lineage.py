"""Print where a model comes from, as a tree, as JSON, as a Mermaid diagram or as a picture."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from flows.display import short
from gpt_core.artifact import Artifact, read_artifact, to_json_value
from gpt_core.config import load_config
from gpt_core.files import atomic_write
from tasks.lineage import Lineage, trace
from tasks.lineage_plot import plot_lineage
from tasks.paths import lineage_plot
from tasks.tracking import artifact_of, find_stage_run

_DIGEST_DIGITS, _COMMIT_DIGITS = 16, 10


def find_artifact(name: str) -> Artifact:
    """The artifact that a directory, a run's id or a registered model's name stands for.

    Raises:
        DataError: If there is none.
    """
    is_path = Path(name).exists() or Path(name).is_absolute()
    return read_artifact(Path(name if is_path else artifact_of(name)))


def print_lineage(name: str, form: str, console: Console) -> None:
    """Print the lineage of an artifact.

    Args:
        name: A directory, the id of an MLflow run, or ``models:/NAME@ALIAS``.
        form: ``tree``, ``json``, ``mermaid`` or ``picture``, a file whose path is printed.
        console: Where to print.

    Raises:
        DataError: If there is no such artifact.
    """
    lineage = trace(find_artifact(name), find_stage_run)
    if form == "json":
        text = json.dumps(asdict(lineage), ensure_ascii=False, indent=2)
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    elif form == "mermaid":
        edges = dict.fromkeys(_edges(lineage))
        console.print("\n".join(["graph LR", *edges]), markup=False, soft_wrap=True)
    elif form == "picture":
        console.print(short(_draw(lineage)), markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(lineage_tree(lineage))


def _draw(lineage: Lineage) -> Path:
    file = lineage_plot(lineage.fingerprint)
    with atomic_write(file) as target:
        plot_lineage(lineage).savefig(target, format="png", dpi=150)
    return file


def lineage_tree(lineage: Lineage) -> Tree:
    """An artifact with its inputs below it, each with its run and the hashes of raw files."""
    tree = Tree(Text("\n".join(_lines(lineage)), overflow="fold"), guide_style="dim")
    tree.children.extend(lineage_tree(parent) for parent in lineage.parents)
    return tree


def _lines(lineage: Lineage) -> Iterator[str]:
    if lineage.path is None:
        yield f"{lineage.name}  {lineage.fingerprint}  (not here any more)"
        return
    yield f"{lineage.name}  {lineage.fingerprint}"
    yield f"  {short(Path(lineage.path))}"
    if lineage.run is not None:
        run = lineage.run
        commit = f", commit {run.commit[:_COMMIT_DIGITS]}" if run.commit else ""
        yield f"  {run.stage} at {run.started}"
        yield f"  run {run.run_id}{commit}"
    changed = changed_settings(lineage.config)
    if changed:
        yield "  " + ", ".join(f"{name}={value}" for name, value in changed.items())
    for file, digest in lineage.raw_files.items():
        yield f"  {file}  sha256 {digest[:_DIGEST_DIGITS]}..."


def changed_settings(config: object) -> dict[str, object]:
    """The settings of a stage that are not those of the default preset, by their names."""
    parts = config if isinstance(config, list) else [config]
    settings = {name: value for part in parts for name, value in _flat(part, "").items()}
    return {name: value for name, value in settings.items() if value not in _defaults(name)}


def _defaults(name: str) -> list[object]:
    """The defaults of a setting; a stage that reads one section records no section's name."""
    return [value for known, value in _flat_defaults() if f".{known}".endswith(f".{name}")]


@cache
def _flat_defaults() -> list[tuple[str, object]]:
    return list(_flat(to_json_value(load_config()), "").items())


def _flat(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, Mapping):
        return {name: value} if name else {}
    found = [_flat(part, f"{name}.{key}".lstrip(".")) for key, part in value.items()]
    return {key: part for each in found for key, part in each.items()}


def _edges(lineage: Lineage) -> Iterator[str]:
    """A line for each artifact and its input, in Mermaid's syntax."""
    for parent in lineage.parents:
        yield f'  {parent.fingerprint}["{parent.name}"] --> {lineage.fingerprint}["{lineage.name}"]'
        yield from _edges(parent)
