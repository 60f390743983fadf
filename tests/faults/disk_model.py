"""A model of what a disk may hold after a crash, from the recorded system calls of a write.

A content is on disk after its file's fsync, a name after its directory's. Everything else may have
reached the disk or not, in any order (Pillai et al. 2014, "All File Systems Are Not Created
Equal").
"""

import itertools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gpt_core import durable

MAX_UNSYNCED = 9
"""All subsets of so many unsynced changes are tried, of more a sample."""

SAMPLE = 1 << MAX_UNSYNCED


@dataclass(eq=False)
class Node:
    """A file or a directory."""

    entries: dict[str, "Node"] | None = None
    content: bytes = b""
    synced: bool = False

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.entries is not None


@dataclass(frozen=True, eq=False)
class Change:
    """A change of names: each place gets a node, or None; its directories' fsync saves it."""

    places: tuple[tuple[Node, str, Node | None], ...]


@dataclass(frozen=True)
class Crash:
    """A moment at which the system may crash: what is on disk then and what may be."""

    changes: tuple[tuple[Change, bool], ...]
    unsynced_files: tuple[Node, ...]
    returned: bool


@dataclass
class Disk:
    """Records the changes below a folder; everything that is there before is on disk."""

    folder: Path
    root: Node = field(default_factory=lambda: Node({}))
    changes: list[Change] = field(default_factory=list)
    saved: set[Change] = field(default_factory=set)
    crashes: list[Crash] = field(default_factory=list)
    _files: list[Node] = field(default_factory=list)

    def record(self, monkeypatch: pytest.MonkeyPatch, write: Callable[[], object]) -> None:
        """Run ``write`` and keep a crash before each of its calls and one after the last."""
        self._notice()
        self.saved.update(self.changes)
        for node in self._files:
            node.synced = True
        with monkeypatch.context() as patch:
            self._wrap(patch)
            write()
        self._notice()
        self._crash(returned=True)

    def states(self, crash: Crash, rng: random.Random) -> Iterator[dict[Path, bytes | None]]:
        """Every content of the folder that a crash may leave; None for a directory."""
        loose = [change for change, saved in crash.changes if not saved]
        for chosen in _subsets(loose, rng):
            for torn in (0.0, 0.5, 1.0) if crash.unsynced_files else (1.0,):
                kept = [c for c, saved in crash.changes if saved or c in chosen]
                yield dict(_apply(self.root, kept, set(crash.unsynced_files), torn))

    def _wrap(self, patch: pytest.MonkeyPatch) -> None:
        rename, replace, unlink, rmdir = os.rename, os.replace, os.unlink, os.rmdir
        exchange, fsync = durable._exchange, os.fsync

        def renamed(real: Callable[..., None]) -> Callable[..., None]:
            def call(source: Any, target: Any, **options: Any) -> None:
                self._moved(Path(source), Path(target))
                real(source, target, **options)

            return call

        def removed(real: Callable[..., None]) -> Callable[..., None]:
            def call(path: Any, *, dir_fd: int | None = None) -> None:
                base = Path() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
                self._removed(base / path)
                real(path, dir_fd=dir_fd)

            return call

        def exchanged(one: Path, other: Path) -> bool:
            done = exchange(one, other)
            if done:
                self._exchanged(one, other)
            return done

        def synced(handle: int) -> None:
            self._synced(Path(f"/proc/self/fd/{handle}").readlink())
            fsync(handle)

        patch.setattr(os, "rename", renamed(rename))
        patch.setattr(os, "replace", renamed(replace))
        patch.setattr(os, "unlink", removed(unlink))
        patch.setattr(os, "remove", removed(unlink))
        patch.setattr(os, "rmdir", removed(rmdir))
        patch.setattr(os, "fsync", synced)
        patch.setattr(durable, "_exchange", exchanged)

    def _notice(self, folder: Path | None = None, node: Node | None = None) -> None:
        """Record what has appeared since the last call, and the contents so far."""
        folder, node = folder or self.folder, node or self.root
        assert node.entries is not None
        for path in sorted(folder.iterdir()):
            if path.name not in node.entries:
                new = Node({} if path.is_dir() else None)
                self._change((node, path.name, new))
                if not new.is_dir:
                    self._files.append(new)
            entry = node.entries[path.name]
            if entry.is_dir:
                self._notice(path, entry)
            elif not entry.synced:
                entry.content = path.read_bytes()

    def _change(self, *places: tuple[Node, str, Node | None]) -> None:
        self.changes.append(Change(places))
        _set(places)

    def _crash(self, *, returned: bool = False) -> None:
        changes = tuple((change, change in self.saved) for change in self.changes)
        loose = tuple(node for node in self._files if not node.synced)
        self.crashes.append(Crash(changes, loose, returned))

    def _moved(self, source: Path, target: Path) -> None:
        self._notice()
        self._crash()
        (old, node), (new, _) = self._find(source), self._find(target)
        self._change((old, source.name, None), (new, target.name, node))

    def _exchanged(self, one: Path, other: Path) -> None:
        # It is called after the exchange: the names are still those of the model.
        self._crash()
        (folder, first), (_, second) = self._find(one), self._find(other)
        self._change((folder, one.name, second), (folder, other.name, first))

    def _removed(self, path: Path) -> None:
        if self.folder in path.parents:
            self._notice()
            self._crash()
            self._change((self._find(path)[0], path.name, None))

    def _synced(self, path: Path) -> None:
        self._notice()
        self._crash()
        node = self.root if path == self.folder else self._find(path)[1]
        if node is None:
            return
        node.synced = True
        self.saved.update(c for c in self.changes if any(p[0] is node for p in c.places))

    def _find(self, path: Path) -> tuple[Node, Node | None]:
        """The directory of a path in the model, and what has its name."""
        node = self.root
        *folders, name = path.relative_to(self.folder).parts
        for each in folders:
            assert node.entries is not None
            node = node.entries[each]
        assert node.entries is not None
        return node, node.entries.get(name)


def _set(places: tuple[tuple[Node, str, Node | None], ...]) -> None:
    for folder, name, node in places:
        assert folder.entries is not None
        if node is None:
            folder.entries.pop(name, None)
        else:
            folder.entries[name] = node


def _subsets(changes: list[Change], rng: random.Random) -> Iterator[set[Change]]:
    """All subsets, or of many changes none, all, all but one and a sample."""
    if len(changes) <= MAX_UNSYNCED:
        for size in range(len(changes) + 1):
            yield from map(set, itertools.combinations(changes, size))
        return
    yield from (set(), set(changes))
    for left_out in changes:
        yield set(changes) - {left_out}
    for _ in range(SAMPLE):
        yield {change for change in changes if rng.random() < 0.5}


def _apply(
    root: Node, changes: list[Change], loose: set[Node], torn: float
) -> Iterator[tuple[Path, bytes | None]]:
    """The paths after some changes, with so much of each content that is not on disk."""
    entries: dict[Node, dict[str, Node]] = {}
    for change in changes:
        # A directory's name may be on disk without the names in it, and the reverse.
        for folder, name, node in change.places:
            found = entries.setdefault(folder, {})
            if node is None:
                found.pop(name, None)
            else:
                found[name] = node
    waiting = [(Path(), root)]
    while waiting:
        path, node = waiting.pop()
        for name, child in entries.get(node, {}).items():
            if child.is_dir:
                yield path / name, None
                waiting.append((path / name, child))
            else:
                size = int(len(child.content) * (torn if child in loose else 1.0))
                yield path / name, child.content[:size]
