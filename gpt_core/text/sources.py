"""Sources: a user's file or folder, registered by its content and never copied."""

import os
from pathlib import Path, PurePath

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.errors import DataError
from gpt_core.files import disk_errors, read_json, sha256_file, write_json

_LOCATION = "location.json"  # not in the manifest: a moved source has the same fingerprint


def register_source(
    path: Path, out_dir: Path, name: str | None = None, companion: str | None = None
) -> Artifact:
    """Register a file or a folder as an artifact, without copying it.

    The fingerprint depends on the names and bytes of the files, not on their location.

    Args:
        path: The file or folder.
        out_dir: Directory of the artifact.
        name: Name of the source; None takes the name of the path.
        companion: Name of a file in the source's folder that says how to read the source, such as
            ``ReadingConfig.boundaries``; if it exists, the fingerprint includes its bytes.

    Returns:
        A raw artifact; ``source_path`` returns the file or folder.

    Raises:
        DataError: If ``path`` does not exist, cannot be read or is empty, or ``out_dir`` cannot
            be written.
    """
    path = path.resolve()
    sizes = _sizes(path)
    if not any(sizes.values()):
        raise DataError(f"{path} is empty: there is no text to read")
    hashes = {relative: _sha256(path / relative if path.is_dir() else path) for relative in sizes}
    extra = path.parent / companion if companion else None
    if extra is not None and path.is_file() and extra.is_file():
        hashes[f"beside it: {companion}"] = _sha256(extra)
    with new_artifact(out_dir, kind="raw") as draft:
        draft.info["name"] = name or path.name
        draft.info["bytes"] = sum(sizes.values())
        draft.info["sha256"] = hashes
    with disk_errors(out_dir):
        write_json(out_dir / _LOCATION, {"path": str(path), "sizes": sizes})
    return draft.artifact


def source_path(raw: Artifact) -> Path:
    """The file or folder that was registered as a raw artifact.

    Raises:
        DataError: If it is missing, or if a file was added, removed or has another size.
    """
    file = raw.directory / _LOCATION
    location = read_json(file)
    values = location if isinstance(location, dict) else {}
    place, recorded = values.get("path"), values.get("sizes")
    if not isinstance(place, str) or not isinstance(recorded, dict) or "\0" in place:
        raise DataError(f"{file} does not say where the source is: run the command again")
    path = Path(place)
    if not path_exists(path):
        raise DataError(f"{path} is gone since it was recorded: put it back or give another source")
    sizes = _sizes(path)
    for relative in sorted(sizes.keys() | recorded.keys()):
        if sizes.get(relative) != recorded.get(relative):
            file = path / relative if path.is_dir() else path
            raise DataError(f"{file} has changed since it was recorded: run the command again")
    return path


def source_files(path: Path) -> list[Path]:
    """List the files of a source in reading order: a folder's visible files, sorted by path.

    Links to files and folders are followed; a folder that several paths lead to is read once.

    Raises:
        DataError: If there is no such file or folder, it cannot be listed, or holds a pipe, a
            device or a link to nothing, or a file name is not UTF-8.
    """
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(_files_below(path), key=lambda file: file.relative_to(path).as_posix())
    elif path_exists(path):
        raise DataError(f"{path} is a pipe or a device: give a file, a folder or a source's name")
    else:
        raise DataError(f"{path} does not exist: give a file, a folder or the name of a source")
    for file in files:
        if not _is_unicode(file.name if path.is_file() else str(file.relative_to(path))):
            raise DataError(f"the file name {bytes(file)!r} is not UTF-8: rename the file")
    return files


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


def _sizes(path: Path) -> dict[str, int]:
    """The size of each file, by its path in the folder or by its name."""
    is_folder, sizes = path.is_dir(), {}
    for file in source_files(path):
        name = file.relative_to(path).as_posix() if is_folder else file.name
        try:
            sizes[name] = file.stat().st_size
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}") from error
    return sizes


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
