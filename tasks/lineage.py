"""Where an artifact comes from: its stages, settings and inputs, back to the raw files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.errors import DataError
from gpt_core.manifest import MANIFEST, Manifest
from tasks.paths import data_dir


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRunInfo:
    """The MLflow run of the stage that made an artifact."""

    run_id: str
    stage: str
    commit: str
    """The code's commit, empty if there was no git."""

    started: str
    """When the stage started, in ISO 8601, UTC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """An artifact with what it was made from."""

    name: str
    """Kind and directory, such as ``shards:tiny-9a3d``."""

    fingerprint: str
    path: str | None
    """None if it is not in this project's folders any more; then nothing more is known."""

    run: StageRunInfo | None
    config: object
    """The settings of its stage, as JSON."""

    metrics: Mapping[str, float]
    raw_files: Mapping[str, str]
    """The SHA-256 of each raw file by its name; empty for what is no source."""

    parents: tuple["Lineage", ...]


def trace(artifact: Artifact, find_run: Callable[[str], StageRunInfo | None]) -> Lineage:
    """Follow an artifact's parents back to the raw files.

    Args:
        artifact: What to begin with.
        find_run: Finds the stage's run that made an artifact, by its fingerprint.

    Raises:
        DataError: If the artifact's manifest cannot be read.
    """
    known = artifacts_by_fingerprint()
    name = f"{artifact.kind}:{artifact.directory.name}"
    return _trace(name, artifact, known, find_run)


def _trace(
    name: str,
    artifact: Artifact,
    known: Mapping[str, Artifact],
    find_run: Callable[[str], StageRunInfo | None],
) -> Lineage:
    manifest = artifact.manifest()
    parents = []
    for parent, fingerprint in manifest.parents.items():
        found = known.get(fingerprint)
        parents.append(
            _trace(parent, found, known, find_run) if found else _missing(parent, fingerprint)
        )
    return Lineage(
        name=name,
        fingerprint=artifact.fingerprint,
        path=artifact.path,
        run=find_run(artifact.fingerprint),
        config=manifest.config,
        metrics=manifest.metrics,
        raw_files=_raw_files(manifest),
        parents=tuple(parents),
    )


def _missing(name: str, fingerprint: str) -> Lineage:
    return Lineage(
        name=name,
        fingerprint=fingerprint,
        path=None,
        run=None,
        config=None,
        metrics={},
        raw_files={},
        parents=(),
    )


def _raw_files(manifest: Manifest) -> dict[str, str]:
    hashes = manifest.info.get("sha256")
    if manifest.kind != "raw" or not isinstance(hashes, Mapping):
        return {}
    return {str(file): str(digest) for file, digest in hashes.items()}


def artifacts_by_fingerprint() -> dict[str, Artifact]:
    """Every intact artifact of this project."""
    found: dict[str, Artifact] = {}
    for manifest in data_dir().glob(f"**/{MANIFEST}"):
        artifact = _read(manifest.parent)
        if artifact is not None:
            found[artifact.fingerprint] = artifact
    return found


def _read(directory: Path) -> Artifact | None:
    try:
        return read_artifact(directory)
    except DataError:
        return None
