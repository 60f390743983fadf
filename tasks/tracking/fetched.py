"""Registered models as checkpoints on this machine: those of this home, others downloaded."""

from dataclasses import replace
from pathlib import Path

from filelock import FileLock
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from gpt_core.artifact import Artifact, read_artifact, verify
from gpt_core.durable import make_directory
from gpt_core.errors import DataError
from gpt_core.files import atomic_directory
from gpt_core.manifest import MANIFEST
from tasks.paths import downloaded_model
from tasks.tracking.registry import RegisteredVersion, find_version
from tasks.tracking.store import UNREACHABLE, client, tracking_uri


def registered_checkpoint(name: str) -> Artifact:
    """The checkpoint that an address of the registry means.

    The checkpoint in this home is taken if it is intact. Otherwise the model is downloaded from
    MLflow's artifacts, once, and every file is checked by its SHA-256.

    Args:
        name: ``models:/NAME``, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Raises:
        DataError: If there is no such version, or its files are missing or damaged.
    """
    version = _with_origin(find_version(name))
    return _in_this_home(version) or _download(version)


def _with_origin(version: RegisteredVersion) -> RegisteredVersion:
    """A version with the tags of its model, where an earlier release noted what it was made of."""
    if "fingerprint" in version.tags:
        return version
    try:
        model = client().get_logged_model(version.model_id)
    except MlflowException as error:
        raise DataError(f"{version.uri} is no model of gptflow") from error
    return replace(version, tags={**model.tags, **version.tags})


def _in_this_home(version: RegisteredVersion) -> Artifact | None:
    """The checkpoint as it was written, or None if it is not here any more or another."""
    if version.directory is None:
        return None
    try:
        found = read_artifact(version.directory, "checkpoint")
    except DataError:
        return None
    return found if found.fingerprint == version.fingerprint else None


def _download(version: RegisteredVersion) -> Artifact:
    folder = downloaded_model(version.name, version.version, version.model_id)
    make_directory(folder.parent)
    with FileLock(folder.with_suffix(".lock")):
        try:
            return _require_same(read_artifact(folder, "checkpoint"), version)
        except DataError:
            pass  # there is none yet, or it was damaged
        with atomic_directory(folder) as draft:
            _fetch(version, draft)
            try:
                verify(_require_same(read_artifact(draft, "checkpoint"), version))
            except DataError as error:
                raise DataError(
                    f"the files of {version.uri} in MLflow's artifacts cannot be used: {error}"
                ) from error
            _keep_listed_files(draft)
    return read_artifact(folder, "checkpoint")


def _fetch(version: RegisteredVersion, target: Path) -> None:
    try:
        download_artifacts(
            f"models:/{version.model_id}", dst_path=str(target), tracking_uri=tracking_uri()
        )
    except UNREACHABLE as error:
        raise DataError(f"{_absent(version)}: {error!s:.300}") from error
    if not (target / MANIFEST).is_file():
        raise DataError(_absent(version))


def _absent(version: RegisteredVersion) -> str:
    return f"{version.uri} is not in this home, and MLflow's artifacts do not have it"


def _require_same(found: Artifact, version: RegisteredVersion) -> Artifact:
    """Check that a download is the registered checkpoint, or that without its training state.

    Raises:
        DataError: If it is another one.
    """
    made_from = found.manifest().parents.values()
    if version.fingerprint not in (found.fingerprint, *made_from):
        raise DataError(f"{found.path} is another checkpoint than the registered one")
    return found


def _keep_listed_files(directory: Path) -> None:
    """Delete what the manifest does not list, so that nothing else is ever read."""
    listed = {MANIFEST, *read_artifact(directory).manifest().files}
    for file in [path for path in directory.rglob("*") if not path.is_dir()]:
        if file.relative_to(directory).as_posix() not in listed:
            file.unlink()
