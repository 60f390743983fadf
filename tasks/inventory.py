"""The artifacts in the home's folders, each with its size, last use and what it was made from."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpt_core.artifact import read_artifact
from gpt_core.checkpoints import list_steps
from gpt_core.errors import DataError
from gpt_core.manifest import MANIFEST
from tasks.paths import made_folders


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An artifact of this home."""

    path: Path
    place: Path
    """The directory, or that of the run whose checkpoint it is."""

    group: str
    """Kind and name without the key, such as ``shards tiny``."""

    fingerprint: str
    parents: tuple[str, ...]
    used: float
    """When it was made, or taken from the cache for the last time; in seconds since 1970."""

    metrics: Mapping[str, float]

    @property
    def name(self) -> str:
        """The directory, named from that of its kind."""
        return str(self.path.relative_to(self.place.parent))


def list_items() -> list[Item]:
    """The intact artifacts of this home, except the sources."""
    folders = made_folders()
    places = [place for folder in folders if folder.is_dir() for place in sorted(folder.iterdir())]
    visible = [place for place in places if not place.name.startswith(".")]
    return [item for place in visible for item in _items(place)]


def _items(place: Path) -> Iterator[Item]:
    for path in [place] if (place / MANIFEST).is_file() else list_steps(place):
        try:
            artifact = read_artifact(path)
            manifest = artifact.manifest()
        except DataError:
            continue
        described = manifest.info.get("kind") if manifest.kind == "checkpoint" else None
        times = [each.stat().st_mtime for each in (path, path / MANIFEST)]
        yield Item(
            path=path,
            place=place,
            group=f"{described or manifest.kind} {place.name.rpartition('-')[0] or place.name}",
            fingerprint=artifact.fingerprint,
            parents=tuple(manifest.parents.values()),
            used=max(times),
            metrics=manifest.metrics,
        )


def size_of(path: Path) -> int:
    """The bytes of all files in a directory."""
    return sum(each.stat().st_size for each in _files(path))


def bytes_freed(paths: list[Path]) -> int:
    """The bytes that are free when directories are removed: not those that have another name.

    The weights of a checkpoint are also in MLflow, as the same file under a second name.
    """
    names: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], os.stat_result] = {}
    for path in paths:
        for file in _files(path):
            state = file.stat()
            key = state.st_dev, state.st_ino
            names[key], found[key] = names.get(key, 0) + 1, state
    return sum(each.st_size for key, each in found.items() if names[key] >= each.st_nlink)


def _files(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file() and not each.is_symlink()]
