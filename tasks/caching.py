"""Cache keys of stages: a result is reused while its inputs, settings and code are unchanged."""

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from prefect.results import ResultStore
from prefect.serializers import (
    JSONSerializer,
    prefect_json_object_decoder,
    prefect_json_object_encoder,
)
from prefect.settings import get_current_settings

from gpt_core.artifact import Artifact, fingerprint_of, read_artifact
from gpt_core.errors import DataError
from gpt_core.files import atomic_write, disk_errors
from tasks.in_use import artifacts_locked, mark_used
from tasks.paths import checkout, in_home, project_root
from tasks.specs import StageSpec

_SELECTING = frozenset({"config/loading.py", "config/presets.py"})
"""Files that select values without giving them a meaning."""


def stage_key(spec: StageSpec, *inputs: object) -> str:
    """Hash everything that determines a stage's result.

    Args:
        spec: The stage.
        inputs: Its artifacts and settings, in the order of its parameters.
    """
    return fingerprint_of(spec.name, source_fingerprint(spec.package), *inputs)


@cache
def source_fingerprint(package: str) -> str:
    """Hash the source of a core package and of everything in the core that it imports."""
    digest = hashlib.sha256()
    for file in source_files(package):
        name = file.relative_to(checkout()).as_posix()
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def source_files(package: str) -> list[Path]:
    """The files of a core package and of all core packages that it imports, transitively."""
    found: dict[str, list[Path]] = {}
    waiting = [package]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _files_of(name)
            for file in found[name]:
                waiting.extend(core_imports(file))
    return sorted(file for files in found.values() for file in files)


@cache
def core_imports(file: Path) -> frozenset[str]:
    """The core's packages and top-level modules that a file imports, in functions too."""
    names: set[str] = set()
    for node in _statements(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "gpt_core":
            names |= {f"gpt_core.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return frozenset(name.split(".")[1] for name in names if name.startswith("gpt_core."))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node; imports are statements, so expressions are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield child
            yield from _statements(child)


def _files_of(package: str) -> list[Path]:
    core = checkout() / "gpt_core"
    if (core / f"{package}.py").is_file():
        return [core / f"{package}.py"]
    files = (core / package).glob("*.py")
    return [file for file in files if f"{package}/{file.name}" not in _SELECTING]


def encode_result(value: object) -> object:
    """The JSON that Prefect keeps of a stage's result; an artifact's path is that in its home."""
    if isinstance(value, Artifact):
        value = replace(value, path=in_home(value.path))
    return prefect_json_object_encoder(value)


def decode_result(value: dict[str, object]) -> object:
    """Read what ``encode_result`` wrote; the home may have been moved since."""
    found = prefect_json_object_decoder(value)
    return (
        replace(found, path=str(project_root() / found.path))
        if isinstance(found, Artifact)
        else found
    )


def result_serializer() -> JSONSerializer[Artifact]:
    """How the results of stages are kept by Prefect."""
    names = {each: f"{each.__module__}.{each.__name__}" for each in (encode_result, decode_result)}
    return JSONSerializer(object_encoder=names[encode_result], object_decoder=names[decode_result])


def results_dir() -> Path:
    """Where Prefect keeps the results of tasks."""
    return Path(get_current_settings().results.local_storage_path)


def record_result(key: str, artifact: Artifact) -> None:
    """Record a result that was made elsewhere as that of a stage, as Prefect does."""
    store = ResultStore(serializer=result_serializer())
    record = store.create_result_record(artifact, key=str(results_dir() / key))
    place = results_dir() / key
    with disk_errors(place), atomic_write(place) as file:
        file.write(record.serialize())


def recorded_artifact(record: Path) -> Artifact | None:
    """The artifact of a cache record, or None if it was deleted or damaged."""
    try:
        result = json.loads(json.loads(record.read_text(encoding="utf-8"))["result"])
        return read_artifact(project_root() / result["data"]["path"])
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None


def cached_artifact(key: str) -> Artifact | None:
    """The complete result that Prefect's cache holds under a stage's key, or None."""
    record = results_dir() / key
    found = recorded_artifact(record) if record.is_file() else None
    return None if found is None or _is_incomplete(found) else found


def _is_incomplete(artifact: Artifact) -> bool:
    """Whether a stage that runs again could make a better result, and says so in its manifest."""
    return artifact.manifest().info.get("incomplete") is True


def discard_damaged(key: str) -> None:
    """Delete a cache record whose artifact is missing, damaged or incomplete: it is made again.

    An intact one is in use from now on.
    """
    record = results_dir() / key
    if not record.is_file():
        return
    with artifacts_locked(alone=False):
        artifact = recorded_artifact(record)
        if artifact is None or _is_incomplete(artifact):
            record.unlink(missing_ok=True)
        else:
            mark_used(artifact)
