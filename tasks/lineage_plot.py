"""A picture of a lineage: the artifacts as boxes from the raw files on the left to the result."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gpt_core.checkpoints import list_steps
from tasks.lineage import Lineage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 3.0, 1.5  # inches of a column and a row
_BOX, _TALL = 0.78, 0.7  # of a column's width and a row's height
_MARGIN = 0.15
_DIGITS, _NAME = 10, 36  # characters shown of a hash, and of a name
_COLOURS = {
    "raw": "#e8e8e8",
    "documents": "#fdebc8",
    "tokenizer": "#dcefd4",
    "shards": "#d5e8f7",
    "checkpoint": "#e3daf3",
    "report": "#fadadd",
    "release": "#d9f2ef",
}


def plot_lineage(lineage: Lineage) -> "Figure":
    """Draw a lineage; an artifact that several others were made from is drawn once.

    Args:
        lineage: The result, with what it was made from.
    """
    from matplotlib.figure import Figure

    depths = _depths(lineage)
    columns: dict[int, list[Lineage]] = defaultdict(list)
    for each in _unique(lineage):
        columns[max(depths.values()) - depths[each.fingerprint]].append(each)
    rows = max(len(column) for column in columns.values())
    figure = Figure(figsize=(_WIDTH * len(columns), _HEIGHT * (rows + _MARGIN)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, len(columns))
    axes.set_ylim(-rows, _MARGIN)  # arrows pass above
    places = {
        each.fingerprint: (x + 0.5, -(y + 0.5) * rows / len(column))
        for x, column in columns.items()
        for y, each in enumerate(column)
    }
    for each in _unique(lineage):
        place = places[each.fingerprint]
        _box(axes, place, each)
        for parent in each.parents:
            _arrow(axes, places[parent.fingerprint], place)
    return figure


def _box(axes: "Axes", place: tuple[float, float], lineage: Lineage) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    box = FancyBboxPatch(
        (x - _BOX / 2, y - _TALL / 2), _BOX, _TALL, boxstyle="round,pad=0,rounding_size=0.03",
        facecolor=_COLOURS.get(lineage.name.partition(":")[0], "white"), edgecolor="#555555",
    )  # fmt: skip
    axes.add_patch(box)
    axes.text(
        x, y, _text(lineage), ha="center", va="center", fontsize=7, linespacing=1.3,
        parse_math=False,
    )  # fmt: skip


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow from a box to a later one; above the boxes that are between."""
    apart = end[0] - start[0]
    if apart > 1:
        begin, tip = (start[0], start[1] + _TALL / 2), (end[0], end[1] + _TALL / 2)
    else:
        begin, tip = (start[0] + _BOX / 2, start[1]), (end[0] - _BOX / 2, end[1])
    axes.annotate(
        "", tip, begin,
        arrowprops={
            "arrowstyle": "-|>", "color": "#666666", "shrinkA": 0, "shrinkB": 0,
            "connectionstyle": f"arc3,rad={-0.2 / apart if apart > 1 else 0.0}",
        },
    )  # fmt: skip


def _text(lineage: Lineage) -> str:
    kind, _, name = lineage.name.partition(":")
    if lineage.path is not None and list_steps(Path(lineage.path).parent):
        name = f"{Path(lineage.path).parent.name}/{name}"
    lines = [kind, name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"]
    if lineage.path is None:
        lines.append("not here any more")
    if lineage.run is not None:
        commit = f", commit {lineage.run.commit[:_DIGITS]}" if lineage.run.commit else ""
        lines += [
            lineage.run.stage,
            f"{lineage.run.started[:16].replace('T', ' ')} UTC",
            f"run {lineage.run.run_id[:_DIGITS]}{commit}",
        ]
    for file, digest in list(lineage.raw_files.items())[:2]:
        lines.append(f"{file[-_NAME:]}: sha256 {digest[:_DIGITS]}")
    if len(lineage.raw_files) > 2:
        lines.append(f"and {len(lineage.raw_files) - 2} more files")
    return "\n".join(lines)


def _unique(lineage: Lineage) -> list[Lineage]:
    return list({each.fingerprint: each for each in _all(lineage)}.values())


def _all(lineage: Lineage) -> Iterator[Lineage]:
    yield lineage
    for parent in lineage.parents:
        yield from _all(parent)


def _depths(lineage: Lineage, depth: int = 0) -> dict[str, int]:
    """The longest way from the result to each artifact."""
    found = {lineage.fingerprint: depth}
    for parent in lineage.parents:
        for name, deep in _depths(parent, depth + 1).items():
            found[name] = max(deep, found.get(name, 0))
    return found
