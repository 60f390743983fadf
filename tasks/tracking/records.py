"""Flows and stages as MLflow runs, nested.

Every call names its run by id: MLflow's active run would depend on the thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from gpt_core.artifact import Artifact, to_json_value
from gpt_core.config import RegistryConfig, TrackingConfig
from tasks.commit import current_commit
from tasks.paths import running_file
from tasks.progress import current_display
from tasks.tracking.abandoned import close_abandoned, close_stages, hold_runs
from tasks.tracking.assessments import log_assessments
from tasks.tracking.curves import send_curves
from tasks.tracking.differences import find_difference
from tasks.tracking.metrics import send_unsent
from tasks.tracking.models import log_model, log_model_input
from tasks.tracking.names import RESULTS, metric_name
from tasks.tracking.opening import open_run
from tasks.tracking.params import flatten, plain_name
from tasks.tracking.registry import RegisteredVersion, model_name, register, version_of
from tasks.tracking.runs import create_run, log_inputs, log_metrics, log_params, run_tags
from tasks.tracking.store import (
    client,
    experiment_id,
    run_link,
    tracking_uri,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WITHOUT_EFFECT = ("tracking.", "registry.", "limits.", "notify.")  # on any result


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """The MLflow run of a flow run."""

    name: str
    """The run's name, part of its artifacts' directories too."""

    run_id: str
    """The MLflow run."""

    tags: tuple[tuple[str, str], ...] = ()
    """Tags that its stages' runs have too."""

    experiment: str = ""
    """The id of its experiment, which its stages' runs and models belong to as well."""

    prefix: str | None = None
    """Precedes the names of the models that it registers."""

    beginning: str = ""
    """The first line of the run's text in MLflow."""

    made: set[str] = field(default_factory=set)
    """The directories of the artifacts that its stages made; the others were in the cache."""

    cached: list[str] = field(default_factory=list)
    """The stages whose results were in the cache."""

    models: list[RegisteredVersion] = field(default_factory=list)
    """The versions of registered models that its stages made or found."""

    details: dict[str, float] = field(default_factory=dict)
    """The stages' other metrics, recorded when the flow ends: MLflow shows the first ones first."""

    def note(self, stage: str, artifact: Artifact, label: str = "") -> None:
        """Record and show a stage's result, made now or cached, so that flows can be compared.

        Args:
            stage: The stage's name.
            artifact: Its result.
            label: Tells apart the runs of one stage in a flow; their metrics are not recorded with
                the flow, and their models are not registered.
        """
        if not label:
            metrics = {metric_name(stage, name): n for name, n in artifact.metrics().items()}
            self.details.update((k, v) for k, v in metrics.items() if k not in RESULTS)
            log_metrics(self.run_id, {k: v for k, v in metrics.items() if k in RESULTS})
        name = f"artifact.{stage}.{label}" if label else f"artifact.{stage}"
        tags = {plain_name(name): artifact.path}
        if artifact.path not in self.made:
            self.cached.append(f"{stage} {label}".rstrip())
            tags["cached"] = ", ".join(self.cached)
        client().log_batch(self.run_id, tags=run_tags(tags), synchronous=True)
        if artifact.kind == "checkpoint" and not label:
            send_curves(self.run_id, artifact)
            self.models.append(self._registered(stage, artifact))
        current_display().stage_present(stage, artifact)

    def describe(self, markdown: str) -> None:
        """Set the text that MLflow shows at the head of the flow's run."""
        found = f"From the cache: {', '.join(self.cached)}." if self.cached else ""
        text = "\n\n".join(filter(None, [self.beginning, found, markdown]))
        client().set_tag(self.run_id, "mlflow.note.content", text)

    def tag(self, name: str, value: str) -> None:
        """Set a tag of the flow's run."""
        client().set_tag(self.run_id, plain_name(name), value)

    def _registered(self, stage: str, checkpoint: Artifact) -> RegisteredVersion:
        """The registered version of a checkpoint, a new one if its name has none of it."""
        name = model_name(checkpoint, self.prefix)
        known = version_of(name, checkpoint.fingerprint)
        if known is not None:
            return known
        model_id = log_model(self.run_id, checkpoint, name, self.experiment)
        return register(name, checkpoint, stage, self.run_id, model_id, current_commit())


_FLOW: ContextVar[FlowRecord | None] = ContextVar("flow", default=None)


def current_flow() -> FlowRecord:
    """The record of the flow run in the current context; tasks inherit the context of their flow.

    Raises:
        RuntimeError: If no flow is running.
    """
    record = _FLOW.get()
    if record is None:
        raise RuntimeError("a stage runs in a flow, or in a block of tracked_flow")
    return record


@dataclass(slots=True)
class StageRecord:
    """The MLflow run of a stage."""

    run_id: str
    flow: FlowRecord
    _model_id: str | None = None
    """The logged model that the stage's metrics belong to."""

    @property
    def link(self) -> str:
        """The address of the run's page in MLflow."""
        return run_link(self.run_id, self.flow.experiment)

    def log_table(self, rows: pd.DataFrame, name: str) -> None:
        """Record a table, which MLflow can compare with those of other runs."""
        if len(rows):
            client().log_table(self.run_id, rows, f"{name}.json")

    def log_figure(self, figure: "Figure", name: str) -> None:
        """Record a plot."""
        client().log_figure(self.run_id, figure, f"{name}.png")

    def log_text(self, text: str, name: str) -> None:
        """Record a page of text or HTML under a file name."""
        client().log_text(self.run_id, text, name)

    def log_model(self, checkpoint: Artifact) -> None:
        """Record a checkpoint as a model, which the flow registers when the stage is complete."""
        name = model_name(checkpoint, self.flow.prefix)
        self._model_id = log_model(self.run_id, checkpoint, name, self.flow.experiment)

    def log_model_input(self, checkpoint: Artifact) -> None:
        """Record that the run uses a checkpoint's model, if the store has it."""
        log_model_input(self.run_id, checkpoint)

    def log_assessments(self, report: Artifact, judge: str, limit: int) -> str:
        """Record a judge's answers as traces; return why that failed, or an empty text."""
        return log_assessments(self.run_id, report, judge, limit)

    def finish(self, artifact: Artifact, prefix: str = "") -> None:
        """Record the stage's result, with a prefix before the names of its metrics."""
        metrics = {f"{prefix}{name}": value for name, value in artifact.metrics().items()}
        log_metrics(self.run_id, metrics, self._model_id)
        tags = {"artifact": artifact.path, "fingerprint": artifact.fingerprint}
        self.flow.made.add(artifact.path)
        client().log_batch(self.run_id, tags=run_tags(tags), synchronous=True)


class NamedConfig(Protocol):
    """A configuration dataclass with the run's name."""

    @property
    def name(self) -> str:
        """The run's name."""


def _recording(config: NamedConfig) -> tuple[str, str | None]:
    """The id of a run's experiment, and what precedes the names of its models."""
    tracking = getattr(config, "tracking", TrackingConfig())
    registry = getattr(config, "registry", RegistryConfig())  # a flow without models has none
    return experiment_id(tracking.experiment), registry.name


@contextmanager
def tracked_flow(name: str, config: NamedConfig, tags: Mapping[str, str]) -> Iterator[FlowRecord]:
    """Open the MLflow run of a flow and make it the current one; resume that of a killed flow.

    Args:
        name: The flow's name.
        config: The run's configuration.
        tags: Tags that tie it to the Prefect flow run.
    """
    close_abandoned()
    send_unsent(client(), tracking_uri())
    settings = to_json_value(config)
    assert isinstance(settings, dict)
    flattened = flatten(settings)
    params = {key: value for key, value in flattened.items() if not key.startswith(_WITHOUT_EFFECT)}
    experiment, prefix = _recording(config)
    difference = find_difference(params)
    beginning = difference.sentence(name)
    with hold_runs() as holder:
        every = {"stage": name, **tags, **holder, **difference.tags()}
        every["mlflow.note.content"] = beginning
        create = partial(create_run, config.name, every, experiment)
        describe = partial(log_params, params=params)
        file = running_file(name, config.name)
        with open_run(create, describe, {**tags, **holder}, file, flattened) as run_id:
            every_tag = tuple(tags.items())
            record = FlowRecord(config.name, run_id, every_tag, experiment, prefix, beginning)
            token = _FLOW.set(record)
            try:
                yield record
                log_metrics(run_id, record.details)
                close_stages(run_id)
            finally:
                _FLOW.reset(token)


@contextmanager
def tracked_stage(
    stage: str,
    flow: FlowRecord,
    parents: Sequence[Artifact],
    settings: Sequence[object],
    *,
    tags: Mapping[str, str],
    remembered: Path | None = None,
    label: str = "",
) -> Iterator[StageRecord]:
    """Open the MLflow run of a stage, below the flow's.

    Args:
        stage: The stage's name.
        flow: The flow's record.
        parents: The artifacts that the stage reads.
        settings: The configurations that the stage reads.
        tags: Tags that tie it to the Prefect task run.
        remembered: Where a resumable stage keeps its run's id, so that a restart continues in the
            same run.
        label: Part of the run's name, which tells apart several runs of the stage in charts; the
            flow's name if it is empty.
    """
    params: dict[str, object] = {}
    for value in map(to_json_value, settings):
        params |= value if isinstance(value, dict) else {"source": value}
    every = {"stage": stage, "mlflow.parentRunId": flow.run_id, **dict(flow.tags), **tags}
    every |= {f"parent.{parent.kind}": parent.fingerprint for parent in parents}

    def describe(run_id: str) -> None:
        log_params(run_id, flatten(params))
        log_inputs(run_id, parents)

    create = partial(create_run, f"{stage} {label or flow.name}", every, flow.experiment)
    with open_run(create, describe, every, remembered) as run_id:
        yield StageRecord(run_id, flow)
