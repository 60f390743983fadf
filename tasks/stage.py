"""What every task does around its verb: cache key, directory, records, progress."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext, TaskRunContext

from gpt_core.artifact import Artifact, verify
from gpt_core.callbacks import Callback, RunInfo
from gpt_core.errors import DownloadError
from gpt_core.files import Progress
from tasks.caching import STAGE_CACHE, stage_key
from tasks.paths import stage_dir
from tasks.progress import Display, current_display
from tasks.reporting import ProgressBar, report_stage
from tasks.tracking import (
    FlowRecord,
    MLflowCallback,
    StageRecord,
    run_link,
    tracked_stage,
    tracking_uri,
)

_DAY = 24 * 3600.0  # seconds


def stage_task(function: Callable[..., Artifact], days: float = 1.0) -> Any:
    """A task for one verb: cached by inputs, settings and code, its result kept as JSON.

    Args:
        function: What the task does; its name is the verb's.
        days: A task that takes longer hangs, and is ended.
    """
    decorate = task(
        name=function.__name__,
        task_run_name=function.__name__,
        timeout_seconds=days * _DAY,
        cache_policy=STAGE_CACHE,
        persist_result=True,
        result_serializer="json",
    )
    return decorate(function)


def network_task(function: Callable[..., Artifact], run_name: str = "") -> Any:
    """A task that fetches: tried again where that may help, and never answered from a cache.

    Args:
        function: What the task does.
        run_name: What its runs are called; the function's name if it is empty.
    """
    decorate = task(
        name=function.__name__,
        task_run_name=run_name or function.__name__,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3,
        retry_delay_seconds=[1, 5, 20],
        retry_condition_fn=_did_not_come,
    )
    return decorate(function)


def _did_not_come(task: Any, task_run: Any, state: Any) -> bool:
    """Whether a source failed for want of the network, so that another try may help."""
    try:
        state.result()
    except DownloadError:
        return True
    except Exception:
        return False
    return False


def shown_progress(stage: str) -> Progress:
    """Progress that goes to the display of this process."""
    return partial(current_display().progress, stage)


@dataclass(slots=True)
class Stage:
    """A stage at work."""

    name: str
    out_dir: Path
    record: StageRecord
    display: Display
    started: float = field(default_factory=time.perf_counter)
    bar: ProgressBar = field(init=False)

    def __post_init__(self) -> None:
        self.bar = ProgressBar(self.name)

    def progress(self, unit: str, done: int, total: int | None) -> None:
        """Pass on to the display and to Prefect how much is done."""
        self.display.progress(self.name, unit, done, total)
        self.bar.update(done, total)

    def done(self, artifact: Artifact, prefix: str = "") -> Artifact:
        """Record and show what was made; in the record its figures' names get a prefix."""
        self.bar.finish()
        self.record.finish(artifact, prefix)
        report_stage(self.name, artifact, run_link(self.record.run_id))
        self.display.stage_finished(self.name, artifact, time.perf_counter() - self.started)
        return artifact


@contextmanager
def running_stage(
    name: str, flow: FlowRecord, *inputs: object, resumable: bool = False, label: str = ""
) -> Iterator[Stage]:
    """A stage with its directory, its MLflow run and its progress.

    Args:
        name: The verb's name.
        flow: The flow's record.
        inputs: All that the result hangs on, in the order of the task's parameters.
        resumable: The stage keeps work in its directory and goes on in the MLflow run it had.
        label: Names the MLflow run instead of the flow's name.

    Raises:
        DataError: If an input was altered since it was written.
    """
    out_dir = stage_dir(name, flow.name, stage_key(name, *inputs))
    remembered = out_dir.with_name(f".{out_dir.name}.mlflow.json") if resumable else None
    display = current_display()
    display.stage_started(name)
    for parent in inputs:
        if isinstance(parent, Artifact):
            verify(parent)
    tracked = tracked_stage(
        name, flow, inputs, tags=task_tags(), remembered=remembered, label=label
    )
    with tracked as record:
        yield Stage(name, out_dir, record, display)


class TrainingShown(Callback):
    """Passes a training run's news to the display, to Prefect and to MLflow.

    Args:
        stage: The stage that trains.
    """

    def __init__(self, stage: Stage) -> None:
        self.records: list[dict[str, Any]] = []
        """Each step's figures, as far as they were made here."""

        self._stage = stage
        self._total: int | None = None
        self._tracker = MLflowCallback(stage.record.run_id, tracking_uri())

    def __enter__(self) -> "TrainingShown":
        return self

    def __exit__(self, *error: object) -> None:
        self._tracker.close()

    def on_start(self, run: RunInfo) -> None:
        """Note how long the run is."""
        self._total = run.total_steps
        self._tracker.on_start(run)
        self._stage.display.training_started(self._stage.name, run)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show and record figures."""
        self.records.append({"step": step, **metrics})
        self._tracker.on_metrics(step, metrics)
        self._stage.display.metrics(self._stage.name, step, metrics)
        self._stage.bar.update(step, self._total)

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Show a sample."""
        self._stage.display.sample(self._stage.name, step, prompt, text)

    def on_notice(self, message: str) -> None:
        """Show a notice."""
        self._stage.display.notice(message)


def flow_tags() -> dict[str, str]:
    """What ties MLflow runs to the Prefect flow run that is under way."""
    context = FlowRunContext.get() or TaskRunContext.get()
    run = getattr(context, "flow_run", None)
    return {"prefect.flow_run": str(run.id), "prefect.flow_run_name": run.name} if run else {}


def task_tags() -> dict[str, str]:
    """What ties an MLflow run to the Prefect task run that is under way."""
    context = TaskRunContext.get()
    return {"prefect.task_run": str(context.task_run.id)} if context else {}
