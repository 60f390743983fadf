"""Sources: a user's file, folder or pattern, registered by its content and never copied.

A pattern is a path with ``*``, ``?``, ``[...]`` or ``**``, such as ``books/**/*.txt``. The files of
a folder or a pattern are in the order of the bytes of their paths: ``10.txt`` before ``2.txt``.
"""

import os
from glob import glob, has_magic
from pathlib import Path, PurePath

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.errors import DataError
from gpt_core.files import disk_errors, read_json, sha256_file, write_json

_LOCATION = "location.json"  # not in the manifest: a moved source has the same fingerprint


def register_source(
    path: Path, out_dir: Path, name: str | None = None, companion: str | None = None
) -> Artifact:
    """Register a file, a folder or a pattern as an artifact, without copying anything.

    The fingerprint depends on the names and bytes of the files, not on their location.

    Args:
        path: The file, folder or pattern.
        out_dir: Directory of the artifact.
        name: Name of the source; None takes the name of the path.
        companion: Name of a file in the source's folder that says how to read the source, such as
            ``ReadingConfig.boundaries``; if it exists, the fingerprint includes its bytes.

    Returns:
        A raw artifact; ``source_path`` returns the file, folder or pattern.

    Raises:
        DataError: If ``path`` does not exist, cannot be read or is empty, or ``out_dir`` cannot
            be written.
    """
    path = path.resolve()
    files = dict(named_files(path))
    entries = {file_name: _entry(file) for file_name, file in files.items()}
    if not any(entry.st_size for entry in entries.values()):
        raise DataError(f"{path} is empty: there is no text to read")
    hashes = {file_name: _sha256(file) for file_name, file in files.items()}
    hashes |= _companions(path, files, companion) if companion else {}
    with new_artifact(out_dir, kind="raw") as draft:
        draft.info["name"] = name or path.name
        draft.info["bytes"] = sum(entry.st_size for entry in entries.values())
        draft.info["sha256"] = hashes
    location = {
        "path": str(path),
        "sizes": {file_name: entry.st_size for file_name, entry in entries.items()},
        "modified": {file_name: entry.st_mtime_ns for file_name, entry in entries.items()},
    }
    with disk_errors(out_dir):
        write_json(out_dir / _LOCATION, location)
    return draft.artifact


def _companions(path: Path, files: dict[str, Path], companion: str) -> dict[str, str]:
    """The hashes of the files beside those of a source that say how to read them."""
    if path.is_dir():
        return {}  # they are in it
    found = dict[str, str]()
    for folder in sorted({file.parent for file in files.values()}):
        if (folder / companion).is_file() and folder / companion not in files.values():
            place = folder.relative_to(_base(path)) / companion
            found[f"beside it: {place.as_posix()}"] = _sha256(folder / companion)
    return found


def source_path(raw: Artifact) -> Path:
    """The file, folder or pattern that was registered as a raw artifact.

    Raises:
        DataError: If it is missing, or if a file was added, removed or changed.
    """
    file = raw.directory / _LOCATION
    location = read_json(file)
    values = location if isinstance(location, dict) else {}
    place, recorded = values.get("path"), values.get("sizes")
    if not isinstance(place, str) or not isinstance(recorded, dict) or "\0" in place:
        raise DataError(f"{file} does not say where the source is: run the command again")
    path = Path(place)
    if not path_exists(path) and not is_pattern(path):
        raise DataError(f"{path} is gone since it was recorded: put it back or give another source")
    files = dict(named_files(path))
    modified, hashes = values.get("modified"), raw.manifest().info.get("sha256")
    for name in sorted(files.keys() | recorded.keys()):
        entry = _entry(files[name]) if name in files else None
        same = entry is not None and entry.st_size == recorded.get(name)
        if same and entry and isinstance(modified, dict) and isinstance(hashes, dict):
            same = modified.get(name) == entry.st_mtime_ns or hashes.get(name) == _sha256(
                files[name]
            )
        if not same:
            changed = files.get(name) or _base(path) / name
            raise DataError(f"{changed} has changed since it was recorded: run the command again")
    return path


def named_files(path: Path) -> list[tuple[str, Path]]:
    """List the visible files of a source in reading order, each with its path in the source.

    Links to files and folders are followed; a folder that several paths lead to is read once.

    Args:
        path: A file, a folder or a pattern. A folder that a pattern matches stands for its files.

    Raises:
        DataError: If there is no such file or folder, it cannot be listed, or holds a pipe, a
            device or a link to nothing, or a file name is not UTF-8.
    """
    if path.is_file():
        files, base = [path], path.parent
    elif path.is_dir():
        files, base = _files_below(path), path
    elif path_exists(path):
        raise DataError(f"{path} is a pipe or a device: give a file, a folder or a source's name")
    elif is_pattern(path):
        files, base = _matches(path), _base(path)
    else:
        raise DataError(f"{path} does not exist: give a file, a folder or the name of a source")
    for file in files:
        if not _is_unicode(str(file.relative_to(base))):
            raise DataError(f"the file name {bytes(file)!r} is not UTF-8: rename the file")
    return sorted((file.relative_to(base).as_posix(), file) for file in files)


def source_files(path: Path) -> list[Path]:
    """List the files of a source in reading order; see ``named_files``."""
    return [file for _, file in named_files(path)]


def is_pattern(path: Path) -> bool:
    """Whether a path is no file or folder, but a pattern of them."""
    return has_magic(str(path)) and "\0" not in str(path) and not path_exists(path)


def _base(path: Path) -> Path:
    """The folder that the names of a source's files are relative to."""
    if path.is_dir():
        return path
    base = path.parent
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


def path_exists(path: Path) -> bool:
    """Whether there is a file or folder of this name, also if it is no possible name."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or half of a character
        return False


def is_hidden(relative: PurePath) -> bool:
    """Whether any part of a path begins with a dot."""
    return any(part.startswith(".") and part != ".." for part in relative.parts)


def _entry(file: Path) -> os.stat_result:
    try:
        return file.stat()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def _sha256(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
