"""Sources: a user's file, folder or pattern, registered by its content and never copied.

All of them may be in a store, see ``object_paths``: the same files have the same fingerprint there.
A pattern is a path with ``*``, ``?``, ``[...]`` or ``**``, such as ``books/**/*.txt``. The files of
a folder or a pattern are in the order of the bytes of their paths: ``10.txt`` before ``2.txt``.
"""

import hashlib
import os
from collections.abc import Mapping
from glob import glob, has_magic
from pathlib import Path, PurePath
from typing import TypeGuard, cast

from gpt_core.artifact import Artifact, new_artifact, read_artifact
from gpt_core.errors import DataError
from gpt_core.files import Progress, disk_errors, read_json, sha256_file, write_json
from gpt_core.object_paths import Location, ObjectEntry, ObjectPath, find_location, relative_path
from gpt_core.text.object_sources import (
    Registered,
    changed_object,
    find_objects,
    register_objects,
)
from gpt_core.uris import is_uri

_LOCATION = "location.json"  # not in the manifest: a moved source has the same fingerprint


def register_source(
    path: Location,
    out_dir: Path,
    name: str | None = None,
    companion: str | None = None,
    progress: Progress | None = None,
    known: Path | None = None,
) -> Artifact:
    """Register a file, a folder or a pattern as an artifact, without copying anything.

    The fingerprint depends on the names and bytes of the files, not on their location.

    Args:
        path: The file, folder or pattern, on a disk or in a store.
        out_dir: Directory of the artifact.
        name: Name of the source; None takes the name of the path.
        companion: Name of a file in the source's folder that says how to read the source, such as
            ``ReadingConfig.boundaries``; if it exists, the fingerprint includes its bytes.
        progress: Receives the ``bytes`` of a store that were read.
        known: Directory of an earlier registration of the same objects of a store, of which only
            those that changed are read; None for ``out_dir``.

    Returns:
        A raw artifact; ``source_path`` returns the file, folder or pattern.

    Raises:
        DataError: If ``path`` does not exist, cannot be read or is empty, or ``out_dir`` cannot
            be written.
    """
    path = path.resolve()
    files = dict(named_files(path))
    if not any(file_entry(file).st_size for file in files.values()):
        raise DataError(f"{path} is empty: there is no text to read")
    found = _register(path, files, known or out_dir, progress)
    hashes = dict(found.hashes)
    hashes |= _companions(path, files, companion) if companion else {}
    with new_artifact(out_dir, kind="raw") as draft:
        draft.info["name"] = name or path.name
        draft.info["bytes"] = sum(found.sizes.values())
        draft.info["sha256"] = hashes
    location: dict[str, object] = {
        "path": str(path),
        "sizes": found.sizes,
        "modified": found.modified,
    }
    if isinstance(path, ObjectPath):
        location |= {"tags": found.tags, "recorded": found.recorded}
    with disk_errors(out_dir):
        write_json(out_dir / _LOCATION, location)
    return draft.artifact


def _register(
    path: Location, files: Mapping[str, Location], known: Path, progress: Progress | None
) -> Registered:
    """The sizes, times and hashes of the files of a source."""
    if _are_objects(files):
        return register_objects(files, _known_objects(path, known), progress)
    entries = {name: file_entry(file) for name, file in files.items()}
    return Registered(
        sizes={name: entry.st_size for name, entry in entries.items()},
        modified={name: entry.st_mtime_ns for name, entry in entries.items()},
        hashes={name: _sha256(file) for name, file in files.items()},
    )


def is_registered(path: ObjectPath, directory: Path) -> bool:
    """Whether the objects of a source are recorded in a directory as they are now.

    Raises:
        DataError: If they cannot be listed.
    """
    known = _known_objects(path, directory)
    files = dict(find_named_objects(path))
    return files.keys() == known.sizes.keys() and all(
        known.has(name, file) for name, file in files.items()
    )


def _known_objects(path: Location, directory: Path) -> Registered:
    """The record of the objects of this source in a directory; an empty one if there is none."""
    try:
        raw = read_artifact(directory, "raw")
        place, known = _recorded(raw)
    except (DataError, OSError):
        return Registered()
    return known if place == str(path) else Registered()


def _recorded(raw: Artifact) -> tuple[str, Registered]:
    """Where a source is and what its files were, as it is recorded.

    Raises:
        DataError: If it is not.
    """
    file = raw.directory / _LOCATION
    location = read_json(file)
    values = location if isinstance(location, dict) else {}
    place, sizes = values.get("path"), values.get("sizes")
    if not isinstance(place, str) or not isinstance(sizes, dict) or "\0" in place:
        raise DataError(f"{file} does not say where the source is: run the command again")
    modified, tags, recorded = (values.get(name) for name in ("modified", "tags", "recorded"))
    hashes = raw.manifest().info.get("sha256")
    return place, Registered(
        recorded=recorded if isinstance(recorded, int) else 0,
        sizes=sizes,
        modified=modified if isinstance(modified, dict) else {},
        tags=tags if isinstance(tags, dict) else {},
        hashes=cast(dict[str, str], hashes) if isinstance(hashes, dict) else {},
    )


def _companions(path: Location, files: Mapping[str, Location], companion: str) -> dict[str, str]:
    """The hashes of the files beside those of a source that say how to read them."""
    if path.is_dir():
        return {}  # they are in it
    found = dict[str, str]()
    for folder in sorted({file.parent for file in files.values()}, key=str):
        table = folder / companion
        if table.is_file() and table not in files.values():
            place = relative_path(folder, _base(path)) / companion
            found[f"beside it: {place.as_posix()}"] = _sha256(table)
    return found


def source_path(raw: Artifact) -> Location:
    """The file, folder or pattern that was registered as a raw artifact.

    Raises:
        DataError: If it is missing, or if a file was added, removed or changed.
    """
    place, known = _recorded(raw)
    path = find_location(place) if is_uri(place) else Path(place)
    if not path_exists(path) and not is_pattern(path):
        raise DataError(f"{path} is gone since it was recorded: put it back or give another source")
    files = dict(named_files(path))
    differing = sorted(files.keys() ^ known.sizes.keys())
    name = differing[0] if differing else _changed(files, known)
    if name is not None:
        changed = files.get(name) or _base(path) / name
        raise DataError(f"{changed} has changed since it was recorded: run the command again")
    return path


def local_path(raw: Artifact) -> Path:
    """``source_path`` of what is only read from a disk.

    Raises:
        DataError: As ``source_path``, or if it is in a store.
    """
    path = source_path(raw)
    if isinstance(path, ObjectPath):
        raise DataError(f"{path} is in a store, and this is read from a disk: copy it to one")
    return path


def _changed(files: Mapping[str, Location], known: Registered) -> str | None:
    """The name of the first file that is not what was registered, or None."""
    if _are_objects(files):
        return changed_object(files, known)
    for name, file in files.items():
        entry = file_entry(file)
        same_time = known.modified.get(name, entry.st_mtime_ns) == entry.st_mtime_ns
        if known.sizes.get(name) != entry.st_size or not (
            same_time or known.hashes.get(name) == _sha256(file)
        ):
            return name
    return None


def _are_objects(files: Mapping[str, Location]) -> TypeGuard[Mapping[str, ObjectPath]]:
    """Whether the files of a source are in a store: all of them are or none."""
    return any(isinstance(file, ObjectPath) for file in files.values())


def named_files(path: Location) -> list[tuple[str, Location]]:
    """List the visible files of a source in reading order, each with its path in the source.

    Links to files and folders are followed; a folder that several paths lead to is read once.

    Args:
        path: A file, a folder or a pattern. A folder that a pattern matches stands for its files.

    Raises:
        DataError: If there is no such file or folder, it cannot be listed, or holds a pipe, a
            device or a link to nothing, or a file name is not UTF-8.
    """
    if isinstance(path, ObjectPath):
        return list(find_named_objects(path))
    if path.is_file():
        files, base = [path], path.parent
    elif path.is_dir():
        files, base = _files_below(path), path
    elif path_exists(path):
        raise DataError(f"{path} is a pipe or a device: give a file, a folder or a source's name")
    elif is_pattern(path):
        files, base = _matches(path), cast(Path, _base(path))
    else:
        raise DataError(f"{path} does not exist: give a file, a folder or the name of a source")
    for file in files:
        if not _is_unicode(str(file.relative_to(base))):
            raise DataError(f"the file name {bytes(file)!r} is not UTF-8: rename the file")
    return sorted((file.relative_to(base).as_posix(), file) for file in files)


def find_named_objects(path: ObjectPath) -> list[tuple[str, ObjectPath]]:
    """``named_files`` of a source in a store."""
    files = find_objects(path)
    base = path.parent if files == [path] else _base(path)
    return sorted((relative_path(file, base).as_posix(), file) for file in files)


def source_files(path: Location) -> list[Location]:
    """List the files of a source in reading order; see ``named_files``."""
    return [file for _, file in named_files(path)]


def is_pattern(path: Location) -> bool:
    """Whether a path is no file or folder, but a pattern of them."""
    return has_magic(str(path)) and "\0" not in str(path) and not path_exists(path)


def _base(path: Location) -> Location:
    """The folder that the names of a source's files are relative to."""
    if path.is_dir():
        return path
    base: Location = path.parent
    while has_magic(str(base)) and not path_exists(base):
        base = base.parent
    return base


def _matches(pattern: Path) -> list[Path]:
    """The files that a pattern matches, and those in the folders that it matches."""
    files = dict[Path, None]()
    matches = glob(str(pattern), recursive=True)  # noqa: PTH207  # Path.glob finds hidden files
    for match in map(Path, matches):
        found = _files_below(match) if match.is_dir() else _require_files([match])
        files |= dict.fromkeys(found)
    if not files:
        raise DataError(
            f"no file matches {pattern}: the signs are * for a part of a name, ** for any folders, "
            "? for a character and [ab] for one of several"
        )
    return list(files)


def _files_below(top: Path) -> list[Path]:
    """The visible files of a folder, those behind links last."""
    files: list[Path] = []
    seen: set[tuple[int, int]] = set()
    pending = [top]
    while pending:
        links: list[Path] = []
        for start in pending:
            for place, folders, names in os.walk(start, onerror=_cannot_list):
                folder, entry = Path(place), Path(place).stat()
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                if (entry.st_dev, entry.st_ino) in seen:  # a link to where its reader comes from
                    folders.clear()
                    continue
                seen.add((entry.st_dev, entry.st_ino))
                links += [folder / name for name in folders if (folder / name).is_symlink()]
                files += [folder / name for name in names if not name.startswith(".")]
        pending = sorted(links)
    return _require_files(files)


def _require_files(files: list[Path]) -> list[Path]:
    """Refuse what is no file and cannot be read."""
    for file in files:
        if not file.is_file():
            what = "a link to nothing" if file.is_symlink() else "a pipe, a socket or a device"
            raise DataError(f"{file} is {what}: take it out of the folder")
    return files


def _cannot_list(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be listed: {error.strerror}") from error


def path_exists(path: Location) -> bool:
    """Whether there is a file or folder of this name, also if it is no possible name."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or half of a character
        return False


def is_hidden(relative: PurePath) -> bool:
    """Whether any part of a path begins with a dot."""
    return any(part.startswith(".") and part != ".." for part in relative.parts)


def file_entry(file: Location) -> os.stat_result | ObjectEntry:
    """The size and time of a file: of one that was found in a list those in the list.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        return file.stat() if isinstance(file, Path) else file.listed or file.stat()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def _sha256(file: Location) -> str:
    try:
        if isinstance(file, Path):
            return sha256_file(file)
        with file.open("rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
