"""Remove what nothing needs any more: what goes and what stays is shown first."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpt_core.errors import ConfigError
from tasks.cleaning import Decision, Rules, decide, freed, remove
from tasks.inventory import size_of
from tasks.leftovers import kept_parts, remove_kept_parts

_UNITS = {"h": 3600.0, "d": 86400.0, "w": 604800.0}  # seconds
_SIZES = ("B", "KB", "MB", "GB", "TB")


def parse_age(text: str) -> float:
    """Seconds of an age such as ``30d``, ``12h`` or ``2w``.

    Raises:
        ConfigError: If it is something else.
    """
    match = re.fullmatch(r"(\d{1,6})([hdw])", text)
    if match is None:
        raise ConfigError(f"--older-than must be hours, days or weeks, such as 30d, got {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def clean_home(rules: Rules, console: Console, *, dry_run: bool, yes: bool) -> None:
    """Show what is removed and what stays, ask, and remove it.

    Args:
        rules: What stays.
        console: Where to print.
        dry_run: Only show it.
        yes: Do not ask.

    Raises:
        ConfigError: If nobody can be asked.
        DataError: If MLflow's store cannot be read.
    """
    decisions, parts = decide(rules), kept_parts(rules.older_than)
    gone = [each for each in decisions if each.removed]
    console.print(_table(decisions))
    console.print(
        f"{len(gone)} of {len(decisions)} artifacts can go: {size(freed(gone, decisions))}, "
        "without the weights that MLflow's models have too",
        soft_wrap=True,
    )
    if parts:
        kept = size(sum(map(size_of, parts)))
        console.print(
            f"Interrupted stages keep {kept} of finished parts, to continue with them; they go too",
            soft_wrap=True,
        )
    if dry_run:
        console.print("Nothing was removed.")
        return
    if not gone and not parts:
        return
    if not yes:
        _ask(len(gone) + len(parts))
    remove_kept_parts(parts)
    paths = [each.item.path for each in gone]
    bytes_before = freed(gone, decisions)
    removed = remove(paths, rules)
    left = len(gone) - len(removed)
    rest = f"; {left} stay, a run began to use them" if left else ""
    amount = size(bytes_before) if not left else "some of it"
    console.print(f"Removed {len(removed)}: {amount} freed{rest}.")


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask at: add --yes, or --dry-run to only look")
    typer.confirm(f"Remove these {count}?", abort=True)


def _table(decisions: Sequence[Decision]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "artifact", "size", "last used", "why"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for each in sorted(decisions, key=lambda each: (not each.removed, each.item.group)):
        used = datetime.fromtimestamp(each.item.used, tz=UTC)
        table.add_row(
            Text("remove", style="red") if each.removed else "keep",
            Text(f"{each.item.place.parent.name}/{each.item.name}"),
            size(size_of(each.item.path)),
            used.strftime("%Y-%m-%d %H:%M"),
            Text(each.why),
        )
    return table


def size(count: float) -> str:
    """Bytes for people.

    Example:
        >>> size(1_234_567)
        '1.2 MB'
    """
    unit = 0
    while count >= 1000 and unit < len(_SIZES) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.1f} {_SIZES[unit]}" if unit else f"{count:.0f} B"
