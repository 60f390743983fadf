"""Publish artifacts to a store and fetch them: their files first, the record of them last."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.callbacks import METRICS
from gpt_core.checkpoints import is_step_name
from gpt_core.durable import sync_directory, sync_file, temporary_directory
from gpt_core.errors import DataError
from gpt_core.files import atomic_directory, cannot_write, disk_errors, sha256_file
from gpt_core.manifest import MANIFEST, FileEntry
from tasks.store.objects import Objects
from tasks.store.records import (
    RESULT,
    RUN_FILES,
    Record,
    StoredArtifact,
    object_of,
    read_record,
    write_record,
)

_AT_ONCE = 8  # objects
T = TypeVar("T")


def publish(
    objects: Objects,
    key: str,
    name: str,
    artifacts: Sequence[tuple[str, Artifact]],
    run_files: Mapping[str, Path],
    *,
    again: bool = False,
) -> Record:
    """Publish artifacts of a stage; they are found when all of them are there.

    Args:
        objects: The store.
        key: The stage's key.
        name: The record.
        artifacts: Each with the name of its folder in that of its run, the newest first.
        run_files: Files of the run that do not change any more.
        again: Upload also what the store seems to have: something of it was altered.

    Raises:
        DataError: If a file was altered since it was written, or the store refuses.
        DownloadError: If the store does not answer.
    """
    stored = tuple(_describe(artifact, folder) for folder, artifact in artifacts)
    extra = {each: _entry(file) for each, file in run_files.items()}
    pairs = [
        (artifact.directory / file, entry)
        for (_, artifact), each in zip(artifacts, stored, strict=True)
        for file, entry in each.files.items()
    ]
    pairs += [(run_files[each], entry) for each, entry in extra.items()]

    def upload(pair: tuple[Path, FileEntry]) -> None:
        file, entry = pair
        target = object_of(key, entry)
        if again or objects.size(target) != entry.bytes:
            objects.upload(target, file, entry)

    _at_once(upload, {entry.sha256: (file, entry) for file, entry in pairs}.values())
    record = Record(artifacts=stored, run_files=extra)
    write_record(objects, key, name, record)
    return record


def fetch(objects: Objects, key: str, stored: StoredArtifact, target: Path) -> Artifact:
    """Fetch an artifact; it appears complete at ``target``, or not at all.

    Raises:
        DataError: If an object is missing, cut short or altered, or the disk is full.
        DownloadError: If the store does not answer.
    """
    with disk_errors(target), atomic_directory(target) as folder:
        _require_space(folder, sum(entry.bytes for entry in stored.files.values()))
        for name in stored.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)

        def download(pair: tuple[str, FileEntry]) -> None:
            objects.download(object_of(key, pair[1]), folder / pair[0], pair[1])

        _at_once(download, stored.files.items())
        found = read_artifact(folder, stored.kind)
        if found.fingerprint != stored.fingerprint or _describe(found, stored.folder) != stored:
            raise DataError(f"{objects.at(key)} has a record of another artifact")
    return read_artifact(target, stored.kind)


def fetch_run_files(objects: Objects, key: str, record: Record, folder: Path) -> None:
    """Fetch the files of a run next to its checkpoints, in place of those that are there.

    Raises:
        DataError: If an object is missing, cut short or altered, or the disk is full.
        DownloadError: If the store does not answer.
    """
    for name, entry in record.run_files.items():
        with disk_errors(folder / name), temporary_directory(folder / name) as temporary:
            objects.download(object_of(key, entry), temporary / name, entry)
            sync_file(temporary / name)
            (temporary / name).replace(folder / name)
            sync_directory(folder)


def publish_result(objects: Objects, key: str, artifact: Artifact, *, again: bool = False) -> None:
    """Publish the result of a stage, see ``publish``."""
    run_dir, folder = artifact.directory, ""
    if is_step_name(run_dir.name):
        run_dir, folder = run_dir.parent, run_dir.name
    run_files = {name: run_dir / name for name in RUN_FILES} if folder else {}
    found = {name: file for name, file in run_files.items() if file.is_file()}
    publish(objects, key, RESULT, [(folder, artifact)], found, again=again)


def fetch_result(objects: Objects, key: str, out_dir: Path) -> Artifact | None:
    """Fetch the result of a stage, None if the store has none.

    Args:
        objects: The store.
        key: The stage's key.
        out_dir: The directory of the result, or of the run whose checkpoint it is.

    Raises:
        DataError: If an object is missing, cut short or altered, or the disk is full.
        DownloadError: If the store does not answer.
    """
    record = read_record(objects, key, RESULT)
    if record is None:
        return None
    stored = record.artifacts[0]
    if record.run_files and not (out_dir / METRICS).is_file():
        fetch_run_files(objects, key, record, out_dir)
    return fetch(objects, key, stored, out_dir / stored.folder)


def _describe(artifact: Artifact, folder: str) -> StoredArtifact:
    """An artifact with its files: their hashes are those of its manifest."""
    files = {**artifact.manifest().files, MANIFEST: _entry(artifact.directory / MANIFEST)}
    return StoredArtifact(
        kind=artifact.kind, fingerprint=artifact.fingerprint, folder=folder, files=files
    )


def _entry(file: Path) -> FileEntry:
    return FileEntry(bytes=file.stat().st_size, sha256=sha256_file(file))


def _require_space(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        reason = f"{n_bytes:,} bytes are to be fetched, {free:,} are free"
        raise cannot_write(folder, reason, "free some space") from OSError(errno.ENOSPC, reason)


def _at_once(function: Callable[[T], None], values: Iterable[T]) -> None:
    """Call a function for each value in a few threads; the first error is raised."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store") as pool:
        calls = [pool.submit(function, value) for value in values]
        try:
            for call in calls:
                call.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def link_directory(source: Path, target: Path) -> None:
    """Give the files of a directory a second name, so that they stay when the first one goes.

    Where the file system has no links they are copied.

    Raises:
        FileNotFoundError: If the directory is gone.
    """
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.is_dir():
            link_directory(entry, target / entry.name)
            continue
        try:
            os.link(entry, target / entry.name)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(entry, target / entry.name)
