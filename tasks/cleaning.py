"""Remove artifacts that nothing needs any more, and say of each why it goes or stays."""

import secrets
import shutil
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpt_core.durable import sync_directory
from tasks.in_use import artifacts_locked, is_locked
from tasks.inventory import Item, bytes_freed, list_items
from tasks.leftovers import remove_leftovers
from tasks.tracking import Needed, needed_artifacts, note_removed, running_since

KEEP_FILE = ".keep"
"""A file of this name in an artifact's directory, or in that of its run, pins it."""

_RUN_LOCK = "run.lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Limits below which artifacts stay although nothing else needs them."""

    keep: int
    """How many of each kind and name, the last used first."""

    older_than: float
    """Only what was not used for so many seconds is removed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An artifact, and why it stays or goes."""

    item: Item
    removed: bool
    why: str


def decide(rules: Rules) -> list[Decision]:
    """Decide for each artifact of this home whether it is removed.

    Raises:
        DataError: If MLflow's store, which knows the champions and the running runs, cannot be
            read.
    """
    items = list_items()
    reasons: dict[Path, str] = {}
    for item, why in _roots(items, rules, needed_artifacts(), running_since()):
        reasons.setdefault(item.path, why)
    _follow_lineage(items, reasons)
    staying = {item.place for item in items if item.path in reasons}
    return [
        Decision(
            item, item.path not in reasons, reasons.get(item.path) or _why(item, staying, rules)
        )
        for item in items
    ]


def remove(shown: Iterable[Path], rules: Rules) -> list[Decision]:
    """Remove what was shown and is still not needed: a run may have begun to use some of it.

    Everything gets a hidden name before anything is deleted: what a kill leaves has no other
    name, and the next command removes it.

    Returns:
        What was removed.
    """
    wanted = set(shown)
    with artifacts_locked(alone=True):
        decisions = decide(rules)
        gone = [each for each in decisions if each.removed and each.item.path in wanted]
        hidden = [_hide(path) for path in places(gone, decisions)]
    for path in hidden:
        shutil.rmtree(path, ignore_errors=True)
    note_removed([each.item.fingerprint for each in gone])
    remove_leftovers()
    return gone


def places(gone: Sequence[Decision], decisions: Sequence[Decision]) -> list[Path]:
    """The directories that go: that of a run if all its checkpoints do."""
    paths = {each.item.path for each in gone}
    staying = {each.item.place for each in decisions if each.item.path not in paths}
    found = [each.item.path if each.item.place in staying else each.item.place for each in gone]
    return list(dict.fromkeys(found))


def freed(gone: Sequence[Decision], decisions: Sequence[Decision]) -> int:
    """The bytes that are free when artifacts have been removed."""
    return bytes_freed(places(gone, decisions))


def _roots(
    items: Sequence[Item], rules: Rules, needed: Sequence[Needed], started: float | None
) -> Iterator[tuple[Item, str]]:
    """The artifacts that stay for their own sake, with the reason."""
    for item in items:
        yield from ((item, why) for why in _own_reasons(item, needed, started))
        if time.time() - item.used < rules.older_than:
            yield item, "used since"
    for group, members in _by_group(items).items():
        newest = sorted(_by_place(members).values(), key=_last_used, reverse=True)
        for run in newest[: rules.keep]:
            for item in _essential(run):
                yield item, f"among the newest {rules.keep} of {group}"


def _own_reasons(item: Item, needed: Sequence[Needed], started: float | None) -> Iterator[str]:
    for each in needed:
        if item.fingerprint in each.fingerprints or str(item.path) in each.paths:
            yield each.why
    if any((folder / KEEP_FILE).exists() for folder in (item.path, item.place)):
        yield f"pinned by a file {KEEP_FILE}"
    if started is not None and item.used >= started:
        yield "used since the beginning of a run that is running"
    if is_locked(item.place / _RUN_LOCK):
        yield "a training writes there"


def _essential(run: Sequence[Item]) -> list[Item]:
    """The checkpoints of a run that count: the best, and the last, from which it is resumed."""
    losses = [item for item in run if "validation_loss" in item.metrics]
    best = min(losses, key=lambda item: item.metrics["validation_loss"], default=run[0])
    return [max(run, key=lambda item: item.path.name), best]


def _follow_lineage(items: Sequence[Item], reasons: dict[Path, str]) -> None:
    """Add what the artifacts that stay were made from."""
    by_fingerprint: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_fingerprint[item.fingerprint].append(item)
    waiting = [item for item in items if item.path in reasons]
    while waiting:
        item = waiting.pop()
        for parent in (found for name in item.parents for found in by_fingerprint[name]):
            if parent.path not in reasons:
                reasons[parent.path] = f"{item.name} was made from it"
                waiting.append(parent)


def _why(item: Item, staying: Collection[Path], rules: Rules) -> str:
    """Why an artifact is removed."""
    if item.place in staying:
        return "neither the best nor the last checkpoint of its run"
    return f"not among the newest {rules.keep} of {item.group}"


def _by_group(items: Sequence[Item]) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    return groups


def _by_place(items: Sequence[Item]) -> dict[Path, list[Item]]:
    found: dict[Path, list[Item]] = defaultdict(list)
    for item in items:
        found[item.place].append(item)
    return found


def _last_used(run: Sequence[Item]) -> float:
    return max(item.used for item in run)


def _hide(path: Path) -> Path:
    """Rename a directory to a temporary's name, in the folder where leftovers are looked for."""
    folder = path.parent if path.parent.parent.name == "data" else path.parent.parent
    hidden = folder / f".{path.name}.{secrets.token_hex(4)}.old"
    path.rename(hidden)
    sync_directory(path.parent)
    with suppress(OSError):
        (path.parent / f".{path.name}.mlflow.json").unlink()  # of a run that was interrupted
    return hidden
