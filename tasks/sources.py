"""Sources by name or path: found on disk, or downloaded from where they are published."""

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from gpt_core.artifact import Artifact, fingerprint_of
from gpt_core.config import FinetuningConfig
from gpt_core.download import download
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress, sha256_file
from gpt_core.text import is_pattern, path_exists, register_source, source_files
from tasks.paths import artifact_dir, expand_path, raw_dir, samples_dir, sources_file
from tasks.reads import Role, Source

_PATTERN_SIGNS = re.compile(r"[*?\[\]]+")
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


def find_source(source: Source) -> Path | PublicSource:
    """Resolve a source to its path or pattern, or to the public source of that name.

    Raises:
        ConfigError: If it is neither.
    """
    name = source.name
    if name == "samples" and source.role in _SAMPLES:
        return samples_dir() / _SAMPLES[source.role]
    path = expand_path(name)
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


def present_file(source: Source) -> Path | None:
    """The file or folder of a source; None if it is one that has yet to be downloaded.

    Raises:
        ConfigError: If there is no such source.
    """
    found = find_source(source)
    if isinstance(found, Path):
        return found
    file = placed_file(source.name, found)
    return file if file.is_file() else None


def present_examples(config: FinetuningConfig, role: Role) -> tuple[Path, dict[str, Path]] | None:
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
    elif not any(file.stat().st_size for file in source_files(found)):
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
        source: ``samples``, a path or pattern, or a name in ``data/sources.toml``.
        companion: A file beside it that says how it is read.
        progress: Receives ``bytes`` downloaded.

    Raises:
        ConfigError: If there is no such source.
        DataError: If it is empty or is not what was published.
        DownloadError: If the download failed; another try may succeed.
    """
    found = find_source(source)
    if isinstance(found, PublicSource):
        path, label = _fetch_public(source.name, found, progress), source.name
    else:
        path, label = found, _PATTERN_SIGNS.sub("_", found.stem)
    out_dir = artifact_dir("raw", label, fingerprint_of(str(path)))
    return register_source(path, out_dir, companion=companion)


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
