"""Print where a model comes from, as a tree, as JSON or as a Mermaid diagram."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from flows.display import short
from gpt_core.artifact import Artifact, read_artifact
from tasks.lineage import Lineage, trace
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
        form: ``tree``, ``json`` or ``mermaid``.
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
    else:
        console.print(lineage_tree(lineage))


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
    for file, digest in lineage.raw_files.items():
        yield f"  {file}  sha256 {digest[:_DIGEST_DIGITS]}..."


def _edges(lineage: Lineage) -> Iterator[str]:
    """A line for each artifact and its input, in Mermaid's syntax."""
    for parent in lineage.parents:
        yield f'  {parent.fingerprint}["{parent.name}"] --> {lineage.fingerprint}["{lineage.name}"]'
        yield from _edges(parent)
