"""Create MLflow runs and write to them, by the runs' ids."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from gpt_core.artifact import Artifact
from tasks.commit import current_commit
from tasks.tracking.params import plain_name
from tasks.tracking.store import client

_BATCH = 100  # parameters that MLflow takes at once


def log_metrics(run_id: str, metrics: Mapping[str, float], model_id: str | None = None) -> None:
    """Record metrics in one call, with the logged model that they belong to."""
    now = int(time.time() * 1000)
    batch = [
        Metric(plain_name(name), float(value), now, 0, model_id=model_id)
        for name, value in metrics.items()
    ]
    if batch:
        client().log_batch(run_id, metrics=batch, synchronous=True)


def create_run(name: str, tags: Mapping[str, str], experiment: str) -> str:
    """Create a run with the code's commit as a tag; return its id."""
    found = current_commit()
    every = {**tags, **({"git.commit": found} if found else {})}
    run = client().create_run(experiment, run_name=name, tags=every)
    return str(run.info.run_id)


def log_params(run_id: str, params: Mapping[str, str]) -> None:
    """Record parameters."""
    entities = [Param(name, value) for name, value in params.items()]
    for start in range(0, len(entities), _BATCH):
        client().log_batch(run_id, params=entities[start : start + _BATCH], synchronous=True)


def log_inputs(run_id: str, parents: Sequence[Artifact]) -> None:
    """Record the artifacts that a run reads, as MLflow's data sets."""
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


def run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Tags as MLflow's entities."""
    return [RunTag(name, value) for name, value in tags.items()]
