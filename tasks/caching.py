"""When a stage need not be done again: same inputs, settings and code, and a whole result."""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.settings import get_current_settings

from gpt_core.artifact import Artifact, fingerprint_of, read_artifact
from gpt_core.config import LaunchConfig
from gpt_core.errors import DataError
from tasks.paths import checkout
from tasks.tracking import FlowRecord

_ROOMS = {
    "clean_corpus": "text",
    "train_tokenizer": "tokenizers",
    "encode_corpus": "data",
    "pretrain": "training",
    "import_gpt2": "interop",
    "evaluate_language_model": "evaluation",
    "measure_tokenizer": "evaluation",
    "compare_tokenizers": "evaluation",
    "run_benchmarks": "evaluation",
    "compare_models": "evaluation",
    "finetune_classifier": "finetuning",
    "finetune_instructions": "finetuning",
    "export_huggingface": "interop",
}
"""The room of the core that a stage's verb lives in."""

_IMPORT = re.compile(r"^\s*(?:from|import) gpt_core\.(\w+)", re.MULTILINE)
_NOT_OF_THE_RESULT = (FlowRecord, LaunchConfig)
_ONLY_CHOOSING = frozenset({"loading.py", "presets.py"})
"""Files of the configuration that choose values and do not give them a meaning."""


class StageCache(CachePolicy):
    """A stage's key: the fingerprints of its inputs, its settings and the core's source.

    A record whose artifact was deleted or damaged is forgotten, so that the stage is done again.
    """

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """The key under which Prefect keeps the result."""
        values = [value for value in inputs.values() if not isinstance(value, _NOT_OF_THE_RESULT)]
        key = stage_key(task_ctx.task.name, *values)
        record = results_dir() / key
        if record.is_file() and recorded_artifact(record) is None:
            record.unlink()
        return key


def stage_key(stage: str, *inputs: object) -> str:
    """The hash of everything that a stage's result hangs on."""
    return fingerprint_of(stage, source_fingerprint(stage), *inputs)


@cache
def source_fingerprint(stage: str) -> str:
    """A hash of the core's source, as far as the stage depends on it."""
    digest = hashlib.sha256()
    for file in source_files(_ROOMS[stage]):
        name = file.relative_to(checkout()).as_posix()
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def source_files(room: str) -> list[Path]:
    """The files of a room of the core and of all rooms that it imports, near or far."""
    found: dict[str, list[Path]] = {}
    waiting = [room]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _files_of(name)
            for file in found[name]:
                waiting.extend(_IMPORT.findall(file.read_text(encoding="utf-8")))
    return sorted(file for files in found.values() for file in files)


def _files_of(room: str) -> list[Path]:
    core = checkout() / "gpt_core"
    if (core / f"{room}.py").is_file():
        return [core / f"{room}.py"]
    return [file for file in (core / room).glob("*.py") if file.name not in _ONLY_CHOOSING]


def results_dir() -> Path:
    """Where Prefect keeps the results of tasks."""
    return Path(get_current_settings().results.local_storage_path)


def recorded_artifact(record: Path) -> Artifact | None:
    """The artifact of a cache record, if it is still whole."""
    try:
        result = json.loads(json.loads(record.read_text(encoding="utf-8"))["result"])
        return read_artifact(Path(result["data"]["path"]))
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None


def cached_artifact(stage: str, *inputs: object) -> Artifact | None:
    """The result that a stage would be answered with, without running it."""
    record = results_dir() / stage_key(stage, *inputs)
    return recorded_artifact(record) if record.is_file() else None


STAGE_CACHE = StageCache()
