"""Records of a store: the artifacts of a stage, with the size and hash of each of their files.

A record is written when the objects that it names are there, so that an artifact that is found by
a record is complete. Records may come from a stranger: every value is checked.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from gpt_core.artifact import to_json_value
from gpt_core.callbacks import METRICS, SAMPLES
from gpt_core.checkpoints import is_step_name
from gpt_core.errors import DataError
from gpt_core.files import canonical_json
from gpt_core.manifest import KINDS, MANIFEST, FileEntry, is_plain_path
from tasks.store.objects import Objects

RESULT, TRAINING = "result.json", "training.json"
"""The records of a stage: its result, and the checkpoints of a training in progress."""

FORMAT_VERSION = 1
RUN_FILES = (METRICS, SAMPLES)
"""Files of a run next to its checkpoints, which grow with it."""

_LIMIT = 1 << 26  # bytes of a record: an artifact of a hundred thousand files has less
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _FileValues(TypedDict):
    bytes: int
    sha256: str


class _ArtifactValues(TypedDict):
    kind: str
    fingerprint: str
    folder: str
    files: dict[str, _FileValues]


class _RecordValues(TypedDict):
    artifacts: list[_ArtifactValues]
    run_files: dict[str, _FileValues]


class UnusableRecordError(DataError):
    """A record that is none, or of another version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredArtifact:
    """An artifact in the store."""

    kind: str
    fingerprint: str
    folder: str
    """The directory of a checkpoint in that of its run, else empty."""

    files: Mapping[str, FileEntry]
    """Every file, the manifest included, by its POSIX path in the directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The content of ``result.json`` or ``training.json``."""

    artifacts: tuple[StoredArtifact, ...]
    """The newest first."""

    run_files: Mapping[str, FileEntry]
    """Files of the run, next to its checkpoints."""

    def hashes(self) -> set[str]:
        """The names of all objects that the record needs."""
        files = [entry for artifact in self.artifacts for entry in artifact.files.values()]
        return {entry.sha256 for entry in [*files, *self.run_files.values()]}


def place(key: str, name: str) -> str:
    """The name of a record, or of a lease, of a stage."""
    return f"stages/{key}/{name}"


def object_of(key: str, entry: FileEntry) -> str:
    """The name of the object with a file's content.

    Its hash is part of it, so that two machines whose files differ never overwrite each other's.
    """
    return place(key, f"files/{entry.sha256}")


def write_record(objects: Objects, key: str, name: str, record: Record) -> None:
    """Write a record; what it names is in the store already."""
    content = {"format_version": FORMAT_VERSION, "record": to_json_value(record)}
    objects.write(place(key, name), canonical_json(content).encode())


def read_record(objects: Objects, key: str, name: str) -> Record | None:
    """Read a record, None if there is none.

    Raises:
        UnusableRecordError: If it is not one, or of another version.
        DataError: If the store cannot be used.
    """
    content = objects.read(place(key, name), _LIMIT)
    if content is None:
        return None
    try:
        values = json.loads(content)
        if values["format_version"] == FORMAT_VERSION:
            return _build(values["record"])
        reason = f"it has format version {values['format_version']!r:.20}, not {FORMAT_VERSION}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error)
    raise UnusableRecordError(
        f"{objects.at(place(key, name))} is not a record of gptflow: {reason:.200}"
    )


def read_usable(objects: Objects, key: str, name: str) -> Record | None:
    """Read a record; one that was damaged is none, to be replaced.

    Raises:
        DataError: If the store cannot be used.
    """
    try:
        return read_record(objects, key, name)
    except UnusableRecordError:
        return None


def _build(values: _RecordValues) -> Record:
    run_files = _files(values["run_files"])
    artifacts = tuple(_artifact(each) for each in values["artifacts"])
    if not artifacts or not run_files.keys() <= set(RUN_FILES):
        raise ValueError("it has no artifact, or unknown files of its run")
    return Record(artifacts=artifacts, run_files=run_files)


def _artifact(values: _ArtifactValues) -> StoredArtifact:
    files, folder = _files(values["files"]), values["folder"]
    if values["kind"] not in KINDS or type(values["fingerprint"]) is not str:
        raise ValueError("the kind or the fingerprint of an artifact is none")
    if MANIFEST not in files:
        raise ValueError("an artifact has no manifest")
    if folder and not is_step_name(folder):
        raise ValueError("the folder of an artifact is none of a checkpoint")
    return StoredArtifact(
        kind=values["kind"], fingerprint=values["fingerprint"], folder=folder, files=files
    )


def _files(values: dict[str, _FileValues]) -> dict[str, FileEntry]:
    files = {name: FileEntry(**entry) for name, entry in values.items()}
    for name, entry in files.items():
        if not is_plain_path(name):
            raise ValueError(f"the file name {name!r} leads out of the directory")
        if type(entry.bytes) is not int or entry.bytes < 0 or not _SHA256.fullmatch(entry.sha256):
            raise ValueError(f"size and hash of {name!r} are none")
    return files
