"""Recorded runs as they are compared: settings, metrics, loss curves and samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from gpt_core.artifact import read_artifact
from gpt_core.errors import DataError
from tasks.paths import from_home
from tasks.tables import training_samples
from tasks.tracking.names import CURVES, by_present_names
from tasks.tracking.store import client, experiment_ids

_TRAINING = "pretrain"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRun:
    """A run of a flow or a stage, read from MLflow."""

    name: str
    """The run's name and the beginning of its id, which tells apart runs of one name."""

    run_id: str
    experiment: str
    """The id of its experiment."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """Metrics; a flow has them by their present names, also if an earlier version recorded them."""

    curves: pd.DataFrame
    """``step`` with ``train/loss`` and ``validation/loss``; empty if nothing was pretrained."""

    samples: pd.DataFrame
    """``step``, ``prompt`` and ``text`` of the samples; empty if they are not on this machine."""


def read_run(name: str) -> RecordedRun:
    """Read a run from MLflow.

    Args:
        name: A run's id, or the name of a flow's run, of which the newest is taken.

    Raises:
        DataError: If there is no such run.
    """
    run = _find(name)
    training = _training_of(run)
    return RecordedRun(
        name=f"{run.info.run_name} {run.info.run_id[:6]}",
        run_id=run.info.run_id,
        experiment=run.info.experiment_id,
        params=run.data.params,
        metrics=run.data.metrics if _is_stage(run) else by_present_names(run.data.metrics),
        curves=_curves(training.info.run_id) if training else _flow_curves(run),
        samples=_samples(training) if training else pd.DataFrame(),
    )


def _find(name: str) -> Run:
    found = client().search_runs(
        experiment_ids(),
        filter_string=f"attributes.run_name = {_quoted(name)}",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if found:
        return found[0]
    try:
        return client().get_run(name)
    except MlflowException as error:
        raise DataError(f"MLflow has no run with the name or id {name}") from error


def _training_of(run: Run) -> Run | None:
    """The run of the pretraining that a flow did, or found in the cache; None without one."""
    if run.data.tags.get("stage") == _TRAINING and _is_stage(run):
        return run
    made = run.data.tags.get(f"artifact.{_TRAINING}")
    if made is None:
        return None
    found = client().search_runs(
        experiment_ids(),
        filter_string=f"tags.stage = '{_TRAINING}' and tags.artifact = {_quoted(made)}",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return found[0] if found else None


def _is_stage(run: Run) -> bool:
    return "mlflow.parentRunId" in run.data.tags


def _flow_curves(run: Run) -> pd.DataFrame:
    """The curves in a flow's own run, whose stage may have been deleted; empty without any."""
    curves = _curves(run.info.run_id, CURVES)
    return curves if len(curves) else pd.DataFrame()


def _curves(run_id: str, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Loss curves by step.

    Args:
        run_id: The run.
        names: The curves, with their names in the run; None are those of a stage's run.
    """
    curves = pd.DataFrame({"step": []})
    for name, recorded in (names or dict(zip(CURVES, CURVES, strict=True))).items():
        history = client().get_metric_history(run_id, recorded)
        points = pd.DataFrame([(point.step, point.value) for point in history])
        if len(points):
            points.columns = ["step", name]
            curves = curves.merge(points.drop_duplicates("step"), on="step", how="outer")
    return curves.sort_values("step", ignore_index=True)


def _samples(training: Run) -> pd.DataFrame:
    try:
        checkpoint = read_artifact(
            Path(from_home(training.data.tags.get("artifact", ""))), "checkpoint"
        )
        return training_samples(checkpoint)
    except DataError:
        return pd.DataFrame()


def _quoted(text: str) -> str:
    """A text in MLflow's query language, which has no escape for quotes."""
    quote = '"' if "'" in text else "'"
    return f"{quote}{text.replace(quote, '')}{quote}"
