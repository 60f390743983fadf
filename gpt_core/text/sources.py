"""Where text comes from: a file or folder of the user's, recorded by its content."""

from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.errors import DataError
from gpt_core.files import read_json, sha256_file, write_json

_LOCATION = "location.json"  # beside the manifest and not in it: a moved source is the same source


def register_source(path: Path, out_dir: Path, name: str | None = None) -> Artifact:
    """Record a file or a folder as an artifact, without copying it.

    The fingerprint hangs on the files' names and bytes, not on where they lie.

    Args:
        path: The file or folder.
        out_dir: Where the record goes.
        name: What to call it; None takes the path's own name.

    Returns:
        A raw artifact; ``source_path`` gives the file or folder back.

    Raises:
        DataError: If there is nothing to read at ``path``.
    """
    path = path.resolve()
    if not path.exists():
        raise DataError(f"{path} does not exist: give a file, a folder or the name of a source")
    files = source_files(path)
    sizes = {_relative(file, path): file.stat().st_size for file in files}
    if not any(sizes.values()):
        raise DataError(f"{path} is empty: there is no text to read")
    with new_artifact(out_dir, kind="raw") as draft:
        draft.info["name"] = name or path.name
        draft.info["bytes"] = sum(sizes.values())
        draft.info["sha256"] = {_relative(file, path): sha256_file(file) for file in files}
    write_json(out_dir / _LOCATION, {"path": str(path), "sizes": sizes})
    return draft.artifact


def source_path(raw: Artifact) -> Path:
    """The file or folder that a raw artifact stands for.

    Raises:
        DataError: If it is gone or its size has changed since it was recorded.
    """
    location = read_json(raw.directory / _LOCATION)
    path = Path(location["path"])
    if not path.exists():
        raise DataError(f"{path} is gone since it was recorded: put it back or give another source")
    for name, size in location["sizes"].items():
        file = path / name if path.is_dir() else path
        if not file.is_file() or file.stat().st_size != size:
            raise DataError(f"{file} has changed since it was recorded: run the command again")
    return path


def source_files(path: Path) -> list[Path]:
    """The files of a source in reading order: itself, or a folder's visible files by name."""
    if path.is_file():
        return [path]
    inside = (file for file in path.rglob("*") if file.is_file())
    visible = (file for file in inside if not _is_hidden(file.relative_to(path)))
    return sorted(visible, key=lambda file: file.relative_to(path).as_posix())


def _relative(file: Path, path: Path) -> str:
    return file.relative_to(path).as_posix() if path.is_dir() else file.name


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)
