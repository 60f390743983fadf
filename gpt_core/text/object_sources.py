"""Sources in a store: the objects of a folder or a pattern, each read once to get its hash.

A pattern means what it means on a disk. The hash of an object is computed when it is registered,
and again only when its size, its time or its ETag has changed. As times are in seconds, an object
that was written within a minute of its registration is known by its ETag.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from glob import has_magic

from gpt_core.errors import DataError
from gpt_core.files import Progress
from gpt_core.object_paths import ObjectPath, list_objects

_REQUESTS = 16  # at a time
_HASHED = 16  # objects at a time: requests take longer than small objects
_CHUNK = 1 << 22
_OLD = 60 * 10**9  # ns after which a time in seconds is that of the last change


@dataclass(frozen=True, slots=True)
class Registered:
    """A record of the objects of a source, by their names."""

    recorded: int = 0
    """When they were listed, in nanoseconds."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    modified: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)

    def has(self, name: str, file: ObjectPath) -> bool:
        """Whether an object is the one that was recorded, without reading it."""
        entry = file.listed or file.stat()
        if name not in self.hashes or self.sizes.get(name) != entry.st_size:
            return False
        same_time = self.modified.get(name) == entry.st_mtime_ns
        if same_time and self.recorded - entry.st_mtime_ns > _OLD:
            return True
        return bool(self.tags.get(name)) and self.tags[name] == file.version().tag


def register_objects(
    files: Mapping[str, ObjectPath], known: Registered, progress: Progress | None = None
) -> Registered:
    """Compute the hashes of the objects of a source.

    Args:
        files: The objects by their names.
        known: An earlier record of them, whose hashes hold for what has not changed.
        progress: Receives ``bytes``.

    Raises:
        DataError: If an object cannot be read or changes meanwhile.
    """
    recorded = time.time_ns()
    entries = {name: file.listed or file.stat() for name, file in files.items()}
    sizes = {name: entry.st_size for name, entry in entries.items()}
    hashes, tags = dict[str, str](), dict[str, str]()
    for name, same in _are_known(files, known).items():
        if same:
            hashes[name], tags[name] = known.hashes[name], known.tags.get(name, "")
    done = sum(sizes[name] for name in hashes)
    new = [name for name in files if name not in hashes]
    with ThreadPoolExecutor(_HASHED) as pool:
        for name, found in zip(new, pool.map(_hash, [files[name] for name in new]), strict=True):
            hashes[name], tags[name] = found
            done += sizes[name]
            if progress is not None:
                progress("bytes", done, sum(sizes.values()))
    return Registered(
        recorded,
        sizes,
        {name: entry.st_mtime_ns for name, entry in entries.items()},
        {name: tags[name] for name in files},
        {name: hashes[name] for name in files},
    )


def changed_object(files: Mapping[str, ObjectPath], known: Registered) -> str | None:
    """The name of the first object that is not what was registered, or None.

    Raises:
        DataError: If one cannot be read.
    """
    for name, same in _are_known(files, known).items():
        if not same and _hash(files[name])[0] != known.hashes.get(name):
            return name
    return None


def _are_known(files: Mapping[str, ObjectPath], known: Registered) -> dict[str, bool]:
    """Whether each object is what was recorded, asked for many at a time."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return dict(zip(files, pool.map(known.has, files.keys(), files.values()), strict=True))


def _hash(file: ObjectPath) -> tuple[str, str]:
    """The SHA-256 and the ETag of an object, which is not kept."""
    before, digest = file.version(), hashlib.sha256()
    with file.open() as stream:
        for chunk in iter(partial(stream.read, _CHUNK), b""):
            digest.update(chunk)
    if file.version() != before:
        raise DataError(
            f"{file} changed while it was read: run the command again when nothing writes to it"
        )
    return digest.hexdigest(), before.tag


def find_objects(place: ObjectPath) -> list[ObjectPath]:
    """The visible objects of a source: one, those of a folder, or those that match a pattern.

    Raises:
        DataError: If there are none, or the bucket cannot be listed.
    """
    one = place.find()
    if one is not None:
        return [one]
    if place.is_dir():
        return list(_visible(place))
    if not has_magic(place.uri.key):
        raise DataError(f"{place} does not exist: give an object, a folder of objects or a pattern")
    top = place.parents[-1]
    found = list(dict.fromkeys(_expand(top, place.uri.key.split("/"))))
    if not found:
        raise DataError(
            f"no object matches {place}: the signs are * for a part of a name, ** for any folders, "
            "? for a character and [ab] for one of several"
        )
    return found


def _expand(folder: ObjectPath, parts: Sequence[str]) -> Iterator[ObjectPath]:
    """The objects in a folder that match the parts of a pattern, listing no more than is needed."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        for file in list_objects(folder):
            if _fits(file.relative_to(folder).parts, parts):
                yield file
    elif not has_magic(part):
        yield from _expand(folder / part, rest) if rest else _files_of(folder / part)
    else:
        for place in list_objects(folder, recursive=False):
            if _matches(place.name, part):
                if not rest:
                    yield from [place] if place.listed else _visible(place)
                elif not place.listed:
                    yield from _expand(place, rest)


def _files_of(place: ObjectPath) -> Iterator[ObjectPath]:
    one = place.find()
    yield from [one] if one is not None else _visible(place)


def _visible(folder: ObjectPath) -> Iterator[ObjectPath]:
    """The objects below a folder without a part of their names that begins with a dot."""
    for file in list_objects(folder):
        if not any(map(_is_hidden, file.relative_to(folder).parts)):
            yield file


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a name, or a folder that it is in, matches the parts of a pattern.

    Example:
        >>> _fits(("a", "b", "c.txt"), ("**", "c.*")), _fits(("a", "b", "c"), ("a", "[bx]"))
        (True, True)
        >>> _fits(("a", "b.txt"), ("*.txt",)), _fits((".git", "b.txt"), ("**", "*.txt"))
        (False, False)
    """
    if not parts:
        return not any(map(_is_hidden, names))
    if parts[0] == "**":
        here = _fits(names, parts[1:])
        return here or (bool(names) and not _is_hidden(names[0]) and _fits(names[1:], parts))
    return bool(names) and _matches(names[0], parts[0]) and _fits(names[1:], parts[1:])


def _matches(name: str, part: str) -> bool:
    return fnmatchcase(name, part) and (not _is_hidden(name) or _is_hidden(part))


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
