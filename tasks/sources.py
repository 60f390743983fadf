"""Sources by name, path or address: on a disk, in a store, or downloaded where published."""

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from gpt_core.artifact import Artifact, fingerprint_of
from gpt_core.config import FinetuningConfig
from gpt_core.download import download
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress, sha256_file
from gpt_core.object_paths import Location, ObjectPath, find_location
from gpt_core.text import (
    file_entry,
    is_pattern,
    is_registered,
    path_exists,
    register_source,
    source_files,
)
from gpt_core.uris import is_uri
from tasks.paths import artifact_dir, expand_path, raw_dir, samples_dir, sources_file
from tasks.reads import Role, Source

_PATTERN_SIGNS = re.compile(r"[*?\[\]]+")
_IN_STORES: tuple[Role, ...] = (
    "text", "contamination", "classification", "instruction", "preference",
)  # fmt: skip
"""Roles of sources that are read from a store of objects as well as from a disk."""
_SAMPLES: dict[Role, str] = {
    "text": "text",
    "classification": "messages.tsv",
    "instruction": "instructions.json",
    "preference": "preferences.json",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicSource:
    """An entry of ``data/sources.toml``."""

    title: str
    file: str
    sha256: str
    bytes: int
    licence: str
    url: str = ""
    """Empty for a text that is not published as one file."""


def find_source(source: Source) -> Location | PublicSource:
    """Resolve a source to its path, address or pattern, or to the public source of that name.

    Raises:
        ConfigError: If it is none of these, or an address where only files of a disk are read.
    """
    name = source.name
    if name == "samples" and source.role in _SAMPLES:
        return samples_dir() / _SAMPLES[source.role]
    path = _path_of(source)
    if isinstance(path, ObjectPath):
        return path
    if path_exists(path):
        return path.resolve()
    sources = public_sources()
    if name in sources:
        return sources[name]
    if is_pattern(path) and source.role == "text":
        return path.resolve()
    raise ConfigError(
        f"the source {name!r:.200} is neither a file or folder nor a named source: there are "
        f"samples, {', '.join(sources)}"
    )


def _path_of(source: Source) -> Location:
    """The path or the object that a source's name would stand for."""
    if not is_uri(source.name):
        return expand_path(source.name)
    place = find_location(source.name)
    if isinstance(place, ObjectPath) and source.role not in _IN_STORES:
        raise ConfigError(
            f"the source {source.name!r:.200} is read from a disk: copy it to one and give its path"
        )
    return place


def present_file(source: Source) -> Location | None:
    """The file or folder of a source; None if it is one that has yet to be downloaded.

    Raises:
        ConfigError: If there is no such source.
    """
    found = find_source(source)
    if not isinstance(found, PublicSource):
        return found
    file = placed_file(source.name, found)
    return file if file.is_file() else None


def present_local_file(source: Source) -> Path | None:
    """``present_file`` of a source that is only read from a disk.

    Raises:
        ConfigError: If there is no such source there.
    """
    found = present_file(source)
    assert not isinstance(found, ObjectPath)  # find_source refuses it for its role
    return found


def present_examples(
    config: FinetuningConfig, role: Role
) -> tuple[Location, dict[str, Location]] | None:
    """The files of a fine-tune: its source's, and those that are splits of their own.

    Returns:
        None if one has yet to be downloaded.

    Raises:
        ConfigError: If there is no such source.
    """
    path = present_file(Source(config.source, role))
    held = {name: present_file(Source(s, role)) for name, s in config.held_sources().items()}
    present = {name: file for name, file in held.items() if file is not None}
    return None if path is None or len(present) < len(held) else (path, present)


def check_source(source: Source) -> None:
    """Check, before anything starts, that a source is present or can be fetched.

    Raises:
        ConfigError: If it is neither a path nor a known name.
        DataError: If it has nothing to read, or must first be put into its place.
    """
    found = find_source(source)
    if isinstance(found, PublicSource):
        if not found.url and not placed_file(source.name, found).is_file():
            raise DataError(
                f"{source.name} is not published as one file: {_by_hand(source.name, found)}"
            )
    elif source.role not in ("text", "contamination", "classification") and found.is_dir():
        raise DataError(f"{found} is a folder: give the file in it")
    elif not any(file_entry(file).st_size for file in source_files(found)):
        raise DataError(f"{found} is empty: there is nothing to read")


def public_sources() -> dict[str, PublicSource]:
    """The named sources.

    Raises:
        ConfigError: If the file that lists them is damaged, naming the entry and the value.
    """
    file = sources_file()
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not a list of sources: {error}") from error
    return {name: _public_source(entry, f"{file}: {name}") for name, entry in entries.items()}


def _public_source(entry: object, where: str) -> PublicSource:
    values = entry if isinstance(entry, dict) else {}
    for each in fields(PublicSource):
        kind = int if each.name == "bytes" else str
        if type(values.get(each.name, each.default)) is not kind:
            raise ConfigError(f"{where}.{each.name} must be a {kind.__name__}")
    unknown = sorted(values.keys() - {each.name for each in fields(PublicSource)})
    if unknown:
        raise ConfigError(f"{where} has {unknown[0]}, which no source has")
    if values["file"] in ("", ".", "..") or Path(values["file"]).name != values["file"]:
        raise ConfigError(f"{where}.file must be the name of a file, got {values['file']!r}")
    return PublicSource(**values)


def placed_file(name: str, source: PublicSource) -> Path:
    """The path of a public source's file, once it is fetched or put there by hand."""
    return raw_dir() / name / source.file


def fetch_source(
    source: Source, companion: str | None = None, progress: Progress | None = None
) -> Artifact:
    """Register a source as a raw artifact, every time again because its file may have changed.

    Args:
        source: ``samples``, a path, an address or a pattern, or a name in ``data/sources.toml``.
        companion: A file beside it that says how it is read.
        progress: Receives ``bytes`` downloaded.

    Raises:
        ConfigError: If there is no such source.
        DataError: If it is empty or is not what was published.
        DownloadError: If the download failed; another try may succeed.
    """
    found = find_source(source)
    if not isinstance(found, PublicSource):
        return register_source(found, registered_dir(found), companion=companion, progress=progress)
    path = _fetch_public(source.name, found, progress)
    out_dir = artifact_dir("raw", source.name, fingerprint_of(str(path)))
    return register_source(path, out_dir, companion=companion)


def register_present(source: Source, out_dir: Path, companion: str | None = None) -> Artifact | int:
    """Register a source in a directory if nothing has to be fetched or read from a store for it.

    Returns:
        The raw artifact, or the bytes that a run would fetch or read.

    Raises:
        ConfigError: If there is no such source.
        DataError: If it cannot be listed or read, or is empty.
    """
    found = find_source(source)
    known: Path | None = None
    if isinstance(found, PublicSource):
        file = placed_file(source.name, found)
        if not file.exists():
            return found.bytes
        found = file
    elif isinstance(found, ObjectPath):
        known = registered_dir(found)
        if not is_registered(found, known):
            return sum(file_entry(file).st_size for file in source_files(found))
    return register_source(found, out_dir, companion=companion, known=known)


def registered_dir(path: Location) -> Path:
    """The directory of the artifact of a path, an address or a pattern."""
    label = _PATTERN_SIGNS.sub("_", path.stem)
    return artifact_dir("raw", label, fingerprint_of(str(path)))


def _fetch_public(name: str, source: PublicSource, progress: Progress | None) -> Path:
    """The verified file of a public source, downloaded if it is missing."""
    file = placed_file(name, source)
    by_hand = _by_hand(name, source)
    if not file.is_file() and not source.url:
        raise DataError(f"{name} is not published as one file: {by_hand}")
    if not file.is_file():
        try:
            download(source.url, file, sha256=source.sha256, size=source.bytes, progress=progress)
        except DataError as error:
            raise type(error)(f"{error}; {by_hand}") from error
    if sha256_file(file) != source.sha256:
        raise DataError(f"{file} is not {source.title} as published: delete it, then {by_hand}")
    return file


def _by_hand(name: str, source: PublicSource) -> str:
    return (
        f"put {source.title} ({source.bytes:,} bytes, sha256 {source.sha256}) at "
        f"{placed_file(name, source)} or give a path"
    )
