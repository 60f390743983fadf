"""Provenance: a directory that says what it is, what made it and whether it is whole.

An artifact is a directory with ``manifest.json``. The manifest is written last and the directory
gets its name after that, so a half-made artifact cannot be mistaken for a whole one. Stages hand
on the small ``Artifact``, never the data in it.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpt_core.errors import DataError
from gpt_core.files import (
    DISK_ERRORS,
    atomic_directory,
    canonical_json,
    read_json,
    sha256_file,
    write_json,
)

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
KINDS = ("raw", "documents", "tokenizer", "shards", "checkpoint", "report", "release")


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A finished directory: small, frozen and hashable."""

    kind: str
    """One of ``KINDS``."""

    path: str
    """The directory. A string, so that it travels as JSON."""

    fingerprint: str
    """Hash of kind, parents, configuration and content: equal fingerprints, equal bytes."""

    @property
    def directory(self) -> Path:
        """The directory as a path."""
        return Path(self.path)

    def manifest(self) -> dict[str, Any]:
        """Read ``manifest.json``: config, metrics, parents and the files with their hashes."""
        manifest: dict[str, Any] = read_json(self.directory / MANIFEST)
        return manifest

    def metrics(self) -> dict[str, float]:
        """The figures that the stage recorded."""
        metrics: dict[str, float] = self.manifest()["metrics"]
        return metrics


@dataclass(slots=True)
class Draft:
    """An artifact in the making: fill ``directory``, note ``metrics``, then read ``artifact``."""

    directory: Path
    metrics: dict[str, float] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    """What readers need but no one set: a vocabulary size, the order of labels, a step."""

    checksums: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of files that were hashed as they were written, by name in the directory."""

    _finished: Artifact | None = None

    @property
    def artifact(self) -> Artifact:
        """The finished artifact.

        Raises:
            RuntimeError: If asked for inside the block that still fills the directory.
        """
        if self._finished is None:
            raise RuntimeError("the artifact is finished when its with-block ends")
        return self._finished


@contextmanager
def new_artifact(
    out_dir: Path, *, kind: str, config: object = None, parents: Sequence[Artifact] = ()
) -> Iterator[Draft]:
    """Make one artifact: all of it, or nothing.

    Args:
        out_dir: The directory that it becomes.
        kind: One of ``KINDS``.
        config: The configuration dataclass that made it (or a tuple of them), or None.
        parents: The artifacts it was made from.

    Yields:
        The draft to fill; its ``artifact`` is there when the block has ended.

    Raises:
        ValueError: If ``kind`` is not one of ``KINDS``.
        DataError: If the directory cannot be written.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    with _disk_errors(out_dir), atomic_directory(out_dir) as directory:
        draft = Draft(directory=directory)
        yield draft
        manifest = {
            "kind": kind,
            "format_version": FORMAT_VERSION,
            "fingerprint": "",
            "parents": {f"{p.kind}:{Path(p.path).name}": p.fingerprint for p in parents},
            "config": plain(config),
            "info": draft.info,
            "metrics": draft.metrics,
            "files": _list_files(directory, draft.checksums),
        }
        manifest["fingerprint"] = _fingerprint(manifest)
        write_json(directory / MANIFEST, manifest)
    draft._finished = Artifact(kind=kind, path=str(out_dir), fingerprint=manifest["fingerprint"])


def read_artifact(directory: Path, kind: str | None = None) -> Artifact:
    """Open a finished artifact, checking its manifest and the sizes of its files.

    Args:
        directory: Where it lies.
        kind: The kind that is needed, or None for any.

    Raises:
        DataError: If it is missing, half-made, of another kind or version, or a file has changed
            its size.
    """
    if not directory.is_dir():
        raise DataError(
            f"{directory} is not a directory, so it cannot be a {kind or 'gptflow'} artifact"
        )
    if not (directory / MANIFEST).is_file():
        raise DataError(f"{directory} has no {MANIFEST}: it is not a finished artifact of gptflow")
    manifest = read_json(directory / MANIFEST)
    if not isinstance(manifest, dict) or not {"kind", "fingerprint", "files"} <= manifest.keys():
        raise DataError(f"{directory / MANIFEST} is not a manifest of gptflow")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{directory} has format version {manifest.get('format_version')}, this gptflow reads "
            f"version {FORMAT_VERSION}: make it again with this version"
        )
    if kind is not None and manifest["kind"] != kind:
        raise DataError(
            f"{directory} is a {manifest['kind']} artifact, but a {kind} artifact is needed"
        )
    if _fingerprint(manifest) != manifest["fingerprint"]:
        raise DataError(
            f"{directory / MANIFEST} was altered: its fingerprint does not fit its content"
        )
    for name, entry in manifest["files"].items():
        file = directory / name
        size = file.stat().st_size if file.is_file() else None
        if size != entry["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes"
            raise DataError(
                f"{file} {found}, {entry['bytes']} bytes were written: make the artifact again"
            )
    return Artifact(kind=manifest["kind"], path=str(directory), fingerprint=manifest["fingerprint"])


def verify(artifact: Artifact, *, skip: Sequence[str] = ()) -> None:
    """Read every byte of an artifact and compare it with the manifest.

    Args:
        artifact: What is read.
        skip: Names of files that are not needed now.

    Raises:
        DataError: Naming the first file that is missing or altered.
    """
    directory = artifact.directory
    read_artifact(directory, artifact.kind)
    for name, entry in artifact.manifest()["files"].items():
        if name not in skip and sha256_file(directory / name) != entry["sha256"]:
            raise DataError(
                f"{directory / name} was altered since it was written (its sha256 differs): "
                f"delete {directory} to have it made again"
            )


def plain(config: object) -> Any:
    """A configuration as JSON values: dataclasses become mappings, tuples become lists.

    An artifact in it becomes its fingerprint, for where it lies does not matter.
    """
    if isinstance(config, Artifact):
        return config.fingerprint
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {str(key): plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [plain(value) for value in config]
    return str(config) if isinstance(config, Path) else config


def fingerprint_of(*parts: object) -> str:
    """A 32-digit hash of configurations, artifacts and JSON values, in that order."""
    return hashlib.sha256(canonical_json(plain(parts)).encode()).hexdigest()[:32]


def _fingerprint(manifest: dict[str, Any]) -> str:
    """Hash what determines the content; metrics (timings) and the location do not."""
    parents = sorted(manifest["parents"].values())
    content = [manifest["kind"], manifest["format_version"], parents, manifest["config"]]
    return fingerprint_of(*content, manifest["info"], manifest["files"])


def _list_files(directory: Path, known: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    listed = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix()
        sha256 = known.get(name) or sha256_file(path)
        listed[name] = {"bytes": path.stat().st_size, "sha256": sha256}
    return listed


@contextmanager
def _disk_errors(out_dir: Path) -> Iterator[None]:
    """Say in one sentence that a directory cannot be written or that the disk is full."""
    try:
        yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise DataError(
            f"{out_dir} cannot be written: {error.strerror} ({error.filename})"
        ) from error
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise DataError(
            f"{out_dir} cannot be written: {error.strerror}; free some space"
        ) from error
