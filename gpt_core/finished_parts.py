"""Keep the parts of a stage that are finished, so that a killed stage does not do them again.

Each part writes into a folder of its own, which appears complete, in a hidden directory beside the
stage's artifact. The folder has a record: the hash of everything that the part was made from, its
result, and the hashes of its files. Started again, the stage uses a part only if all of that fits,
and makes it again otherwise. The hidden directory is removed when the artifact is complete.
"""

import dataclasses
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar, cast, get_args, get_type_hints

from filelock import FileLock, Timeout

import gpt_core
from gpt_core.artifact import Draft, fingerprint_of
from gpt_core.durable import make_directory, temporary_directory
from gpt_core.engine import Engine
from gpt_core.errors import DataError
from gpt_core.files import atomic_directory, disk_errors, read_json, sha256_file
from gpt_core.manifest import FileEntry

_RECORD, _LOCK = "part.json", "lock"


class Part(Protocol):
    """A dataclass: what a function is called with, and the folder into which it writes."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]

    @property
    def folder(self) -> Path:
        """The folder of the part's files; it exists when the function is called."""
        ...


P = TypeVar("P", bound=Part)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Finished(Generic[R]):
    """A part that is finished."""

    result: R
    """The value that its function returned."""

    folder: Path
    key: str
    """Hash of everything that it was made from."""

    files: Mapping[str, FileEntry]
    """All of the files, by their names in the folder; none if the part is not kept."""

    @property
    def digest(self) -> str:
        """Hash of what it was made from and of its files."""
        return fingerprint_of(self.key, self.files)

    def publish(self, name: str, target: Path, draft: Draft) -> None:
        """Give one of its files a name in an artifact, too.

        Args:
            name: The file's name in the part's folder.
            target: Its name in the directory of the draft.
            draft: The artifact; it need not hash the file again.
        """
        try:
            os.link(self.folder / name, target)
        except OSError:  # a file system without links
            (self.folder / name).replace(target)
        if name in self.files:
            place = target.relative_to(draft.directory).as_posix()
            draft.checksums[place] = self.files[name].sha256


class PartStore:
    """A directory for the parts of one stage.

    Args:
        directory: The directory.
        kept: Whether parts stay there when the stage is interrupted.
    """

    def __init__(self, directory: Path, *, kept: bool) -> None:
        self.directory, self._kept = directory, kept

    def folder(self, step: str, number: int) -> Path:
        """The folder of a part of one of the stage's steps."""
        return self.directory / step / f"part-{number:05d}"

    def run(
        self,
        engine: Engine,
        function: Callable[[P], R],
        parts: Sequence[P],
        inputs: Sequence[object],
        kind: type[R],
        *,
        done: Callable[[R], None] | None = None,
        threads: bool = False,
    ) -> list[Finished[R]]:
        """Call a function for each part that is not finished yet.

        Args:
            engine: Calls it.
            function: Importable by its name; it writes only into the part's folder.
            parts: What it is called with, each with a folder of its own.
            inputs: All that the files of each part depend on, as values for ``fingerprint_of``.
            kind: The type of its results: a number, or a dataclass of JSON values.
            done: Called with each result, in the order of the parts.
            threads: The function releases the GIL.

        Returns:
            All parts in their order.
        """
        version = code_version() if self._kept else ""
        keys = [fingerprint_of(version, each) for each in inputs]
        work = partial(_finish, function, kind, self._kept)

        def forward(finished: Finished[R]) -> None:
            if done is not None:
                done(finished.result)

        return engine(work, list(zip(parts, keys, strict=True)), done=forward, threads=threads)


@contextmanager
def open_parts(out_dir: Path, *, keep: bool) -> Iterator[PartStore]:
    """Open the directory for the parts of a stage; it is removed if the block ends without error.

    Args:
        out_dir: The artifact's directory, which the block makes.
        keep: Whether finished parts outlive an error or a kill. While another process makes the
            same artifact, they do not.

    Raises:
        DataError: If the directory cannot be written.
    """
    directory = _directory_of(out_dir)
    with disk_errors(out_dir):
        lock = _acquire(directory) if keep else None
        if lock is None:
            with temporary_directory(out_dir) as temporary:
                yield PartStore(temporary, kept=False)
            return
        try:
            yield PartStore(directory, kept=True)
        except BaseException:
            if not any(directory.glob(f"*/*/{_RECORD}")):
                shutil.rmtree(directory, ignore_errors=True)
            raise
        else:
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            lock.release()


def list_kept(folder: Path) -> list[Path]:
    """The directories in which interrupted stages keep parts; none of a stage that is running.

    Args:
        folder: The folder of the stages' artifacts.
    """
    found = sorted(folder.glob(".*.parts")) if folder.is_dir() else []
    return [path for path in found if path.is_dir() and not _is_in_use(path)]


def remove_kept(path: Path) -> None:
    """Remove a directory of ``list_kept``, unless a stage has begun to use it."""
    if (lock := _acquire(path)) is not None:
        shutil.rmtree(path, ignore_errors=True)
        lock.release()


def is_superseded(path: Path) -> bool:
    """Whether the artifact is complete whose parts a directory of ``list_kept`` has."""
    return path.with_name(path.name[1:].removesuffix(".parts")).exists()


def age_of_kept(path: Path) -> float:
    """Seconds since a part was last finished in a directory of ``list_kept``."""
    times = [each.stat().st_mtime for each in (path, *path.glob("*"))]
    return time.time() - max(times)


@cache
def code_version() -> str:
    """Hash of this package's code and of what else may change the bytes that it writes."""
    from pyarrow import __version__ as arrow

    folder = Path(gpt_core.__file__).parent
    files = {
        str(file.relative_to(folder)): sha256_file(file) for file in sorted(folder.rglob("*.py"))
    }
    return fingerprint_of(gpt_core.__version__, platform.python_version(), arrow, files)


def _directory_of(out_dir: Path) -> Path:
    return out_dir.with_name(f".{out_dir.name}.parts")


def _acquire(directory: Path) -> FileLock | None:
    """Lock a directory for this process until it ends; None if another one has it."""
    make_directory(directory)
    lock = FileLock(directory / _LOCK, timeout=0)
    try:
        lock.acquire()
    except (Timeout, NotImplementedError, OSError):  # in use, or a file system without locks
        return None
    if not (directory / _LOCK).exists():  # who had it has just removed the directory
        lock.release()
        return None
    return lock


def _is_in_use(directory: Path) -> bool:
    if not (directory / _LOCK).exists():
        return False
    lock = _acquire(directory)
    if lock is not None:
        lock.release()
    return lock is None


def _finish(
    function: Callable[[P], R], kind: type[R], kept: bool, part_and_key: tuple[P, str]
) -> Finished[R]:
    """Call a function for a part, unless it is finished."""
    part, key = part_and_key
    if not kept:
        part.folder.mkdir(parents=True)
        return Finished(function(part), part.folder, key, {})
    found = _read(part.folder, key, kind)
    if found is not None:
        return found
    with atomic_directory(part.folder) as folder:
        result = function(dataclasses.replace(part, folder=folder))
        files = {
            path.name: FileEntry(bytes=path.stat().st_size, sha256=sha256_file(path))
            for path in sorted(folder.iterdir())
        }
        record = json.dumps(_record(key, result, files), ensure_ascii=False, allow_nan=False)
        (folder / _RECORD).write_text(record, encoding="utf-8")  # in the order of the result
    return Finished(result, part.folder, key, files)


def _record(key: str, result: object, files: Mapping[str, FileEntry]) -> dict[str, object]:
    values: dict[str, object] = {
        "key": key,
        "result": _to_json(result),
        "files": {name: dataclasses.asdict(entry) for name, entry in files.items()},
    }
    return values | {"fingerprint": fingerprint_of(values)}


def _read(folder: Path, key: str, kind: type[R]) -> Finished[R] | None:
    """The part that is finished in a folder; None if there is none, another one, or damage."""
    try:
        record = read_json(folder / _RECORD)
    except DataError:
        return None
    if not isinstance(record, dict) or record.get("key") != key:
        return None
    if record.pop("fingerprint", None) != fingerprint_of(record):
        return None
    files = {name: FileEntry(**entry) for name, entry in record["files"].items()}
    for name, entry in files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != entry.bytes:
            return None
        if sha256_file(file) != entry.sha256:
            return None
    return Finished(cast(R, _from_json(kind, record["result"])), folder, key, files)


def _to_json(result: object) -> object:
    """A dataclass as an object, texts as they are."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return dataclasses.asdict(result)
    return result


def _from_json(kind: object, value: object) -> object:
    """The value of a type that ``_to_json`` made JSON of.

    Example:
        >>> _from_json(dict[str, FileEntry], {"a": {"bytes": 1, "sha256": "x"}})
        {'a': FileEntry(bytes=1, sha256='x')}
    """
    if isinstance(value, dict) and isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _from_json(hints[name], each) for name, each in value.items()})
    arguments = get_args(kind)
    if isinstance(value, dict) and arguments:
        return {name: _from_json(arguments[1], each) for name, each in value.items()}
    if isinstance(value, list) and arguments:
        return [_from_json(arguments[0], each) for each in value]
    return value
