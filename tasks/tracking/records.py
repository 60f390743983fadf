"""Flows and stages as MLflow runs, one below the other.

The runs are named by their ids in every call: there is no active run that a thread could lose.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from gpt_core.artifact import Artifact, plain
from gpt_core.errors import DataError, GPTCoreError
from gpt_core.files import read_json, write_json
from tasks.paths import checkout, data_dir
from tasks.progress import current_display
from tasks.tracking.metrics import send_put_by
from tasks.tracking.store import client, experiment_id

_LONGEST_PARAM = 500  # characters; MLflow refuses longer values
_SECRET = re.compile(
    r"(^|[._-])(password|secret|api_?key|access_?token|credential)s?($|[._-])", re.I
)


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """Which flow run a stage belongs to; not part of what a stage's result hangs on."""

    name: str
    """The run's name, which its artifacts bear too."""

    run_id: str
    """The MLflow run."""

    tags: tuple[tuple[str, str], ...] = ()
    """What ties the stages to the flow run."""

    def note(self, stage: str, artifact: Artifact) -> None:
        """Record and show a stage's figures with the flow, so that flows can be compared."""
        metrics = {f"{stage}/{name}": value for name, value in artifact.metrics().items()}
        log_metrics(self.run_id, metrics)
        client().set_tag(self.run_id, f"artifact.{stage}", artifact.path)
        current_display().stage_present(stage, artifact)


@dataclass(slots=True)
class StageRecord:
    """The MLflow run of a stage."""

    run_id: str
    figures: dict[str, Any] = field(default_factory=dict)

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """Record rows as a table that MLflow shows and compares."""
        if rows:
            columns = {key: [row.get(key) for row in rows] for key in rows[0]}
            client().log_table(self.run_id, columns, f"{name}.json")

    def log_figure(self, figure: Any, name: str) -> None:
        """Record a figure of matplotlib."""
        client().log_figure(self.run_id, figure, f"{name}.png")

    def log_file(self, path: Path) -> None:
        """Record a file."""
        client().log_artifact(self.run_id, str(path))

    def log_model(self, checkpoint: Artifact, name: str) -> None:
        """Record a checkpoint as a model: its weights, configuration and tokenizer.

        The training state stays behind: it is large and only good for resuming.
        """
        logged = client().create_logged_model(
            experiment_id(),
            name=name,
            source_run_id=self.run_id,
            tags={"fingerprint": checkpoint.fingerprint, "path": checkpoint.path},
            model_type="gpt",
        )
        for part in ("model.safetensors", "config.json", "manifest.json", "tokenizer"):
            path = checkpoint.directory / part
            if path.is_dir():
                client().log_model_artifacts(logged.model_id, str(path), part)
            else:
                client().log_model_artifact(logged.model_id, str(path))
        client().finalize_logged_model(logged.model_id, "READY")

    def finish(self, artifact: Artifact) -> None:
        """Record what the stage made."""
        log_metrics(self.run_id, artifact.metrics())
        tags = {"artifact": artifact.path, "fingerprint": artifact.fingerprint}
        client().log_batch(self.run_id, tags=_tags(tags), synchronous=True)


@contextmanager
def tracked_flow(name: str, config: Any, tags: Mapping[str, str]) -> Iterator[FlowRecord]:
    """One MLflow run for a flow; a flow that was killed goes on in the run it had.

    Args:
        name: The flow's name.
        config: The run's configuration.
        tags: What ties it to the Prefect flow run.
    """
    send_put_by(client())
    file = data_dir() / "running" / f"{name}-{config.name}.json"
    flattened = flatten(plain(config))
    run_id = _unfinished(file, flattened) or _create(config.name, {"stage": name, **tags})
    write_json(file, {"run_id": run_id, "params": flattened})
    _log_params(run_id, flattened)
    with _status(run_id):
        yield FlowRecord(config.name, run_id, tuple(tags.items()))
    file.unlink(missing_ok=True)


@contextmanager
def tracked_stage(
    stage: str,
    flow: FlowRecord,
    inputs: Sequence[object],
    *,
    run_file: Path | None = None,
) -> Iterator[StageRecord]:
    """One MLflow run for a stage, below the flow's.

    Args:
        stage: The verb's name.
        flow: The flow's record.
        inputs: The artifacts and configurations that the stage works on.
        run_file: Where a stage that can be resumed keeps its run's id, so that it goes on in the
            run it had.
    """
    parents = [value for value in inputs if isinstance(value, Artifact)]
    settings = [plain(value) for value in inputs if not isinstance(value, Artifact)]
    params: dict[str, Any] = {}
    for value in settings:
        params |= value if isinstance(value, dict) else {"source": value}
    tags = {"stage": stage, "mlflow.parentRunId": flow.run_id, **dict(flow.tags)}
    tags |= {f"parent.{parent.kind}": parent.fingerprint for parent in parents}
    run_id = _unfinished(run_file, None) if run_file else None
    if run_id is None:
        run_id = _create(stage, tags)
        _log_params(run_id, flatten(params))
        _log_inputs(run_id, parents)
    else:
        client().log_batch(run_id, tags=_tags(tags), synchronous=True)
        client().update_run(run_id, status="RUNNING")
    if run_file is not None:
        write_json(run_file, {"run_id": run_id, "params": None})
    with _status(run_id):
        yield StageRecord(run_id)


def log_metrics(run_id: str, metrics: Mapping[str, float]) -> None:
    """Record figures in one call."""
    now = int(time.time() * 1000)
    batch = [Metric(_plain_name(name), float(value), now, 0) for name, value in metrics.items()]
    if batch:
        client().log_batch(run_id, metrics=batch, synchronous=True)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as ``section.field``, without anything that looks like a secret.

    Example:
        >>> flatten({"model": {"n_layer": 2}, "api_key": "x"})
        {'model.n_layer': '2', 'api_key': '(not recorded)'}
    """
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            shown = "(not recorded)" if _SECRET.search(key) else _text(value)
            flat[f"{prefix}{key}"] = shown[:_LONGEST_PARAM]
    return flat


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain_name(name: str) -> str:
    """A name with nothing in it that MLflow refuses."""
    return re.sub(r"[^\w./ :-]", "_", name)


def _create(name: str, tags: Mapping[str, str]) -> str:
    commit = _commit()
    every = {**tags, **({"git.commit": commit} if commit else {})}
    run = client().create_run(experiment_id(), run_name=name, tags=every)
    return str(run.info.run_id)


def _unfinished(file: Path | None, params: dict[str, str] | None) -> str | None:
    """The run that a killed process left open, if it had the same settings."""
    if file is None or not file.is_file():
        return None
    try:
        content = read_json(file)
        known = client().get_run(content["run_id"])
    except (DataError, KeyError, TypeError):
        return None
    same = content.get("params") == params
    return str(known.info.run_id) if same else None


def _log_params(run_id: str, params: Mapping[str, str]) -> None:
    entities = [Param(_plain_name(name), value) for name, value in params.items()]
    for start in range(0, len(entities), 100):  # MLflow's limit for one batch
        client().log_batch(run_id, params=entities[start : start + 100], synchronous=True)


def _log_inputs(run_id: str, parents: Sequence[Artifact]) -> None:
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{parent.kind}:{Path(parent.path).name}",
                digest=parent.fingerprint,
                source_type="local",
                source=json.dumps({"uri": parent.path}),
                profile=json.dumps(parent.metrics()),
            ),
            [InputTag("mlflow.data.context", parent.kind)],
        )
        for parent in parents
    ]
    if inputs:
        client().log_inputs(run_id, inputs)


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(name, value) for name, value in tags.items()]


@contextmanager
def _status(run_id: str) -> Iterator[None]:
    """Close a run as what it came to; a user's mistake is recorded as its sentence."""
    try:
        yield
    except GPTCoreError as error:
        client().set_tag(run_id, "error", str(error))
        client().set_terminated(run_id, "FAILED")
        raise
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        client().set_tag(run_id, "error", repr(error)[:_LONGEST_PARAM])
        client().set_terminated(run_id, "KILLED" if stopped else "FAILED")
        raise
    client().set_terminated(run_id, "FINISHED")


@cache
def _commit() -> str:
    """The checkout's commit, empty where there is no git."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=checkout(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return found.stdout.strip()
