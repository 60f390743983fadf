"""The content of ``manifest.json``: what an artifact is, what made it, the hashes of its files.

A manifest may come from a stranger, so every value's type is checked, and that every file is inside
the directory.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gpt_core.errors import DataError
from gpt_core.files import canonical_json, read_json

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
KINDS = (
    "raw", "documents", "tokenizer", "shards", "checkpoint", "progress", "report", "release",
)  # fmt: skip
_MAX_NAME = 256  # bytes; no file system has longer names
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """Size and hash of one file of an artifact."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The content of ``manifest.json``, in the order of its fields there.

    Configurations and ``info`` are JSON values; the typed getters look one up by its keys.
    """

    kind: str
    """One of ``KINDS``."""

    format_version: int

    fingerprint: str
    """Hash of all but the metrics and the names of the parents."""

    parents: Mapping[str, str]
    """Fingerprints of the artifacts it was made from, by ``kind:name``."""

    config: object
    """The configuration that made it, as JSON: an object, a list of them, or None."""

    info: Mapping[str, object]
    """Values that follow from the content: a vocabulary size, the order of labels, a step."""

    metrics: Mapping[str, float]

    files: Mapping[str, FileEntry]
    """Every file but the manifest, by its POSIX path in the directory."""

    def info_int(self, *keys: str) -> int:
        """The whole number at ``info[keys[0]][keys[1]]...``; DataError if there is none."""
        return self._find(self.info, "info", keys, int)

    def info_str(self, *keys: str) -> str:
        """The text at ``info[keys[0]]...``; DataError if there is none."""
        return self._find(self.info, "info", keys, str)

    def info_bool(self, *keys: str) -> bool:
        """The truth value at ``info[keys[0]]...``; DataError if there is none."""
        return self._find(self.info, "info", keys, bool)

    def config_int(self, *keys: str) -> int:
        """The whole number at ``config[keys[0]]...``; DataError if there is none."""
        return self._find(self.config, "config", keys, int)

    def config_strings(self, *keys: str) -> list[str]:
        """The list of texts at ``config[keys[0]]...``; DataError if there is none."""
        return [str(item) for item in self._find(self.config, "config", keys, list)]

    def _find(self, tree: object, name: str, keys: Sequence[str], kind: type[T]) -> T:
        for key in keys:
            tree = tree.get(key) if isinstance(tree, Mapping) else None
        if type(tree) is not kind:
            raise DataError(
                f"the manifest of the {self.kind} artifact {self.fingerprint} should have "
                f"{kind.__name__} at {'.'.join([name, *keys])}, got {tree!r}"
            )
        return tree


def read_manifest(directory: Path) -> Manifest:
    """Read a manifest and check its types; its fingerprint is not compared here.

    Args:
        directory: The artifact's directory.

    Raises:
        DataError: If it is missing, of another format version, or has values of other types or
            files outside the directory.
    """
    file = directory / MANIFEST
    content = read_json(file)
    if not isinstance(content, dict) or "kind" not in content or "fingerprint" not in content:
        raise DataError(f"{file} is not a manifest of gptflow")
    if content.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{directory} has format version {content.get('format_version')}, this gptflow reads "
            f"version {FORMAT_VERSION}: make it again with this version"
        )
    try:
        return _build_manifest(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not a manifest of gptflow") from error
    except ValueError as error:
        raise DataError(f"{file} is not a manifest of gptflow: {error}") from error


def _build_manifest(content: Mapping[str, Any]) -> Manifest:
    """Check the values of a manifest, which may be forged.

    Raises:
        ValueError: Naming the first that has another type, or a file outside the directory.
        KeyError, TypeError, AttributeError: If a value is missing or has another type.
    """
    values = {each.name: content[each.name] for each in dataclasses.fields(Manifest)}
    files = {name: FileEntry(**entry) for name, entry in values["files"].items()}
    for name, entry in files.items():
        if not is_plain_path(name):
            raise ValueError(f"the file name {name!r} leads out of the directory")
        if type(entry.bytes) is not int or type(entry.sha256) is not str:
            raise ValueError(f"size and hash of {name} are not a number and a text")
    manifest = Manifest(**values | {"files": files})
    if manifest.kind not in KINDS:
        raise ValueError(f"its kind must be one of {', '.join(KINDS)}, got {manifest.kind!r}")
    if not _all_are(str, manifest.fingerprint, *manifest.parents.values()):
        raise ValueError("a fingerprint is not a text")
    if not _is_unicode(content):
        raise ValueError("a text in it has half of a character")
    if not isinstance(manifest.info, dict):
        raise ValueError("info is not an object")
    if not all(type(value) in (int, float) for value in manifest.metrics.values()):
        raise ValueError("a metric is not a number")
    return manifest


def _is_unicode(content: object) -> bool:
    """Whether JSON values can be written as UTF-8, to be hashed."""
    try:
        canonical_json(content).encode()
    except UnicodeEncodeError:
        return False
    return True


def _all_are(kind: type, *values: object) -> bool:
    return all(type(value) is kind for value in values)


def is_plain_path(name: str) -> bool:
    """Whether a file's name is a plain path below the directory, on every system."""
    parts = name.split("/")
    return all(
        part not in ("", ".", "..") and len(part.encode(errors="replace")) < _MAX_NAME
        for part in parts
    ) and not any(character in name for character in "\\:\0")
