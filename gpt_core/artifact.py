"""Provenance: a directory that records what it is, what made it and the hashes of its files.

An artifact is a directory with ``manifest.json``. The manifest is written last and the directory
gets its name after that, so an incomplete artifact cannot be mistaken for a complete one. Stages
pass the small ``Artifact`` on, never its data.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.files import (
    atomic_directory,
    canonical_json,
    disk_errors,
    sha256_file,
    write_json,
)
from gpt_core.manifest import (
    FORMAT_VERSION,
    KINDS,
    MANIFEST,
    FileEntry,
    Manifest,
    read_manifest,
)
from gpt_core.redaction import redact

REPORT = "report.json"
"""The file of a report with its metrics and tables."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A finished directory: small, frozen and hashable."""

    kind: str
    """One of ``KINDS``."""

    path: str
    """The directory. A string, so that it can be sent as JSON."""

    fingerprint: str
    """Hash of kind, parents, configuration and content: equal fingerprints, equal bytes."""

    @property
    def directory(self) -> Path:
        """The directory as a path."""
        return Path(self.path)

    def manifest(self) -> Manifest:
        """Read ``manifest.json``: config, metrics, parents and the files with their hashes.

        Raises:
            DataError: If it is missing or is not a manifest of this format version.
        """
        return read_manifest(self.directory)

    def metrics(self) -> Mapping[str, float]:
        """The metrics that the stage recorded."""
        return self.manifest().metrics


@dataclass(slots=True)
class Draft:
    """An unfinished artifact: fill ``directory``, set ``metrics``, then read ``artifact``."""

    directory: Path
    metrics: dict[str, float] = field(default_factory=dict)
    info: dict[str, object] = field(default_factory=dict)
    """JSON values that follow from the content, see ``Manifest.info``."""

    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of files that were hashed while they were written, by path in the directory."""

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
    """Write an artifact; it appears complete when the block ends without an error, or not at all.

    Args:
        out_dir: The directory that it becomes. One that is there already is replaced.
        kind: One of ``KINDS``.
        config: The configuration dataclass that made it (or a tuple of them), or None.
        parents: The artifacts it was made from.

    Yields:
        The draft to fill; its ``artifact`` is available after the block.

    Raises:
        ValueError: If ``kind`` is not one of ``KINDS``.
        DataError: If the directory cannot be written.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    with disk_errors(out_dir), atomic_directory(out_dir) as directory:
        draft = Draft(directory=directory)
        yield draft
        unsigned = Manifest(
            kind=kind,
            format_version=FORMAT_VERSION,
            fingerprint="",
            parents={f"{p.kind}:{Path(p.path).name}": p.fingerprint for p in parents},
            config=recorded_config(config),
            info=draft.info,
            metrics=draft.metrics,
            files=_list_files(directory, draft.checksums),
        )
        manifest = dataclasses.replace(unsigned, fingerprint=_fingerprint(unsigned))
        write_json(directory / MANIFEST, to_json_value(manifest))
    draft._finished = Artifact(kind=kind, path=str(out_dir), fingerprint=manifest.fingerprint)


def read_artifact(directory: Path, kind: str | None = None) -> Artifact:
    """Open a finished artifact, checking its manifest and the sizes of its files.

    Args:
        directory: The artifact's directory.
        kind: The kind that is needed, or None for any.

    Raises:
        DataError: If it is missing, incomplete, of another kind or version, or a file has changed
            its size.
    """
    if not directory.is_dir():
        raise DataError(
            f"{directory} is not a directory, so it cannot be a {kind or 'gptflow'} artifact"
        )
    if not (directory / MANIFEST).is_file():
        raise DataError(f"{directory} has no {MANIFEST}: it is not a finished artifact of gptflow")
    manifest = read_manifest(directory)
    if kind is not None and manifest.kind != kind:
        raise DataError(
            f"{directory} is a {manifest.kind} artifact, but a {kind} artifact is needed"
        )
    if _fingerprint(manifest) != manifest.fingerprint:
        raise DataError(
            f"{directory / MANIFEST} was altered: its fingerprint does not fit its content"
        )
    for name, entry in manifest.files.items():
        file = directory / name
        _require_inside(file, directory)
        size = file.stat().st_size if file.is_file() else None
        if size != entry.bytes:
            found = "is missing" if size is None else f"has {size} bytes"
            raise DataError(
                f"{file} {found}, {entry.bytes} bytes were written: make the artifact again"
            )
    return Artifact(kind=manifest.kind, path=str(directory), fingerprint=manifest.fingerprint)


def _require_inside(file: Path, directory: Path) -> None:
    """Raise if a link makes a file of an artifact one of another place."""
    try:
        inside = file.resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError):  # a link to itself
        inside = False
    if not inside:
        raise DataError(f"{file} is a link that leads out of the artifact: put the file there")


def verify(artifact: Artifact, *, skip: Sequence[str] = ()) -> None:
    """Read every byte of an artifact and compare it with the hashes in the manifest.

    Args:
        artifact: The artifact to read.
        skip: Paths of files in it that are not needed now.

    Raises:
        DataError: Naming the first file that is missing or altered.
    """
    directory = artifact.directory
    read_artifact(directory, artifact.kind)
    for name, entry in artifact.manifest().files.items():
        if name not in skip and sha256_file(directory / name) != entry.sha256:
            raise DataError(
                f"{directory / name} was altered since it was written (its sha256 differs): "
                f"delete {directory} to have it made again"
            )


def to_json_value(value: object) -> object:
    """A configuration as JSON values: dataclasses become objects, tuples become lists.

    An artifact in it becomes its fingerprint, because its location does not matter. The passwords
    of addresses are hidden, because what this returns is hashed or recorded.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Artifact):
        return value.fingerprint
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json_value(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def recorded_config(value: object) -> object:
    """A configuration as a manifest records it: JSON values without fields that say nothing.

    Left out are fields with the metadata ``UNRECORDED`` and, at their default, those with
    ``RECORDED_IF_SET``, see ``gpt_core.config.section``.
    """
    if isinstance(value, list | tuple):
        return [recorded_config(item) for item in value]
    if isinstance(value, Artifact) or not dataclasses.is_dataclass(value):
        return to_json_value(value)
    return {
        f.name: recorded_config(getattr(value, f.name))
        for f in dataclasses.fields(value)
        if not (recorded := f.metadata.get("recorded"))
        or (recorded == "if set" and getattr(value, f.name) != f.default)
    }


def fingerprint_of(*parts: object) -> str:
    """Hash configurations, artifacts and JSON values, in this order, to 32 hexadecimal digits."""
    return hashlib.sha256(canonical_json(to_json_value(parts)).encode()).hexdigest()[:32]


def is_timing(metric: str) -> bool:
    """Whether a metric depends on the clock.

    Such metrics are kept in manifests alone, whose metrics have no part in the fingerprint: in a
    file they would make each artifact another one, and everything that is made from it.

    Example:
        >>> is_timing("train_seconds"), is_timing("megabytes_per_second"), is_timing("loss")
        (True, True, False)
    """
    return metric.endswith(("_seconds", "_per_second")) or metric == "seconds"


def _fingerprint(manifest: Manifest) -> str:
    """Hash what determines the content; metrics (timings) and the location do not."""
    parents = sorted(manifest.parents.values())
    content = [manifest.kind, manifest.format_version, parents, manifest.config]
    return fingerprint_of(*content, manifest.info, manifest.files)


def _list_files(directory: Path, known: Mapping[str, str]) -> dict[str, FileEntry]:
    listed = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix()
        sha256 = known.get(name) or sha256_file(path)
        listed[name] = FileEntry(bytes=path.stat().st_size, sha256=sha256)
    return listed
