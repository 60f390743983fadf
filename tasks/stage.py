"""Stages: functions of the core as cached, tracked and typed Prefect tasks.

A stage that is called in a flow runs as a task, in a planning context it answers from the cache
alone. Its MLflow run, its directory and its progress are opened around its function.
"""

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Concatenate, Generic, ParamSpec

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext

from gpt_core.artifact import Artifact, verify
from gpt_core.errors import DownloadError
from gpt_core.files import Progress
from tasks.caching import cached_artifact, discard_damaged, result_serializer, stage_key
from tasks.devices import devices_of, hold_devices
from tasks.paths import artifact_dir
from tasks.planning import PendingDownload, artifacts_in, current_plan
from tasks.progress import Display, current_display
from tasks.reporting import ProgressBar, report_stage
from tasks.sharing import stored_stage
from tasks.specs import StageSpec, register
from tasks.tracking import FlowRecord, StageRecord, current_flow, tracked_stage

P = ParamSpec("P")

_DAY = 24 * 3600.0  # seconds
_LABEL: ContextVar[str] = ContextVar("label", default="")


@dataclass(slots=True)
class StageRun:
    """A stage that is running: its directory, MLflow run and progress."""

    name: str
    flow: FlowRecord
    out_dir: Path
    record: StageRecord
    label: str = field(default_factory=lambda: _LABEL.get())
    """Tells apart several runs of the stage in one flow; empty if it runs once."""

    display: Display = field(default_factory=current_display)
    key: str = ""
    """The stage's key in the cache."""

    bar: ProgressBar = field(init=False)

    def __post_init__(self) -> None:
        self.bar = ProgressBar(self.name)

    def progress(self, unit: str, done: int, total: int | None) -> None:
        """Show on the display and in Prefect that ``done`` of ``total`` units are processed."""
        self.display.progress(self.name, unit, done, total)
        self.bar.update(done, total)


class Stage(Generic[P]):
    """A stage: call it in a flow as the function it decorates, without the first parameter.

    Args:
        function: The function that runs in the task.
        spec: The stage's row in the table of stages.
        days: A task that takes longer hangs, and is ended.
        resumable: The stage keeps checkpoints in its directory; interrupted, it resumes from them
            and in the MLflow run it had.
        ignore: Names of parameters that the result does not depend on.
        metrics_prefix: Precedes the names of the result's metrics in the stage's MLflow run.
        trains: It holds its device alone; a second training waits.

    Raises:
        ValueError: If ``ignore`` names a parameter that the function does not have.
    """

    def __init__(
        self,
        function: Callable[Concatenate[StageRun, P], Artifact],
        spec: StageSpec,
        *,
        days: float,
        resumable: bool,
        ignore: tuple[str, ...],
        metrics_prefix: str,
        trains: bool = False,
    ) -> None:
        self.spec, self.resumable, self._trains = spec, resumable, trains
        self._function, self._metrics_prefix = function, metrics_prefix
        self._signature = _without_run(function)
        unknown = set(ignore) - set(self._signature.parameters)
        if unknown:
            raise ValueError(f"stage {spec.name} has no parameter {', '.join(sorted(unknown))}")
        self._ignore = ignore
        self.task = self._as_task(days)
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Artifact:
        """Run the stage or answer from the cache; in a planning context only the latter."""
        inputs = self.inputs(*args, **kwargs)
        plan = current_plan()
        if plan is not None:
            return plan.add_stage(self.spec, inputs, resumable=self.resumable)
        key = stage_key(self.spec, *inputs)
        discard_damaged(key)
        # Waiting comes before the task, which then may find the result of whom it waited for.
        with self._shared(key), self._devices(key, *args, **kwargs):
            artifact = self.task(*args, **kwargs)
        current_flow().note(self.spec.name, artifact, _LABEL.get())
        return artifact

    def _shared(self, key: str) -> AbstractContextManager[None]:
        """Share the result with other machines, if the run has a store."""
        name, run = self.spec.name, current_flow().name
        return stored_stage(
            name, key, artifact_dir(self.spec.kind, run, key), run, trains=self._trains
        )

    def _devices(self, key: str, *args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[None]:
        """Hold the devices of a stage that trains, unless its result is there already."""
        if not self._trains or cached_artifact(key) is not None:
            return nullcontext()
        arguments = self._signature.bind(*args, **kwargs).arguments
        return hold_devices(devices_of(arguments), current_flow().name)

    def inputs(self, *args: P.args, **kwargs: P.kwargs) -> tuple[object, ...]:
        """Everything that determines the result, in the order of the parameters."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return self._relevant(bound.arguments)

    def _relevant(self, arguments: Mapping[str, object]) -> tuple[object, ...]:
        names = [name for name in self._signature.parameters if name not in self._ignore]
        return tuple(arguments[name] for name in names)

    def _as_task(self, days: float) -> Task[P, Artifact]:
        @wraps(self._function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Artifact:
            with self._open(self.inputs(*args, **kwargs)) as running:
                started = time.perf_counter()
                artifact = self._function(running, *args, **kwargs)
                self._finish(running, artifact, time.perf_counter() - started)
            return artifact

        vars(run)["__signature__"] = self._signature
        return task(
            name=self.spec.name,
            task_run_name=self.spec.name,
            timeout_seconds=days * _DAY,
            cache_key_fn=lambda _, arguments: stage_key(self.spec, *self._relevant(arguments)),
            persist_result=True,
            result_serializer=result_serializer(),
        )(run)

    @contextmanager
    def _open(self, inputs: tuple[object, ...]) -> Iterator[StageRun]:
        """Open the stage's MLflow run.

        Raises:
            DataError: If an input was altered since it was written.
        """
        name, flow = self.spec.name, current_flow()
        key = stage_key(self.spec, *inputs)
        out_dir = artifact_dir(self.spec.kind, flow.name, key)
        remembered = out_dir.with_name(f".{out_dir.name}.mlflow.json") if self.resumable else None
        current_display().stage_started(name)
        parents = artifacts_in(inputs)
        for parent in parents:
            verify(parent)
        settings = [value for value in inputs if not artifacts_in(value)]
        with tracked_stage(
            name,
            flow,
            parents,
            settings,
            tags=_task_tags(),
            remembered=remembered,
            label=_LABEL.get(),
        ) as record:
            yield StageRun(name, flow, out_dir, record, key=key)

    def _finish(self, running: StageRun, artifact: Artifact, seconds: float) -> None:
        """Record and show what the stage made."""
        running.bar.finish()
        running.record.finish(artifact, self._metrics_prefix)
        report_stage(self.spec.name, artifact, running.record.link)
        running.display.stage_finished(self.spec.name, artifact, seconds)


def stage(
    *,
    package: str,
    kind: str,
    days: float = 1.0,
    resumable: bool = False,
    ignore: tuple[str, ...] = (),
    metrics_prefix: str = "",
    trains: bool = False,
) -> Callable[[Callable[Concatenate[StageRun, P], Artifact]], Stage[P]]:
    """Declare a stage: a function named exactly like the core's, which is run as a Prefect task.

    Args:
        package: The package of ``gpt_core`` that exports the function.
        kind: The kind of artifact that it makes; its folder follows from that.
        days: A task that takes longer hangs, and is ended.
        resumable: The stage keeps checkpoints in its directory and resumes from them.
        ignore: Names of parameters that the result does not depend on.
        metrics_prefix: Precedes the names of the result's metrics in the stage's MLflow run.
        trains: It holds its device alone; a second training waits.

    Raises:
        ValueError: If a part is wrong, see ``StageSpec`` and ``Stage``.
    """

    def decorate(function: Callable[Concatenate[StageRun, P], Artifact]) -> Stage[P]:
        spec = register(StageSpec(function.__name__, package, kind))
        return Stage(
            function,
            spec,
            days=days,
            resumable=resumable,
            ignore=ignore,
            metrics_prefix=metrics_prefix,
            trains=trains,
        )

    return decorate


class Fetch(Generic[P]):
    """A fetch: call it in a flow as the function it decorates.

    It is retried after network errors and never answered from a cache.

    Args:
        function: The function that runs in the task.
        planned: Answers in a plan, given a temporary folder, without downloading anything.
        run_name: The name of its task runs.
    """

    def __init__(
        self,
        function: Callable[P, Artifact],
        planned: Callable[Concatenate[Path, P], Artifact | PendingDownload],
        run_name: str,
    ) -> None:
        self._planned = planned
        self.task = task(
            name=function.__name__,
            task_run_name=run_name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=3,
            retry_delay_seconds=[1, 5, 20],
            retry_condition_fn=_is_retryable,
        )(function)
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Artifact:
        """Fetch and register the source; in a planning context only look for it."""
        plan = current_plan()
        if plan is None:
            return self.task(*args, **kwargs)
        found = self._planned(plan.folder, *args, **kwargs)
        return plan.add_download(found) if isinstance(found, PendingDownload) else found


def fetch(
    *, planned: Callable[Concatenate[Path, P], Artifact | PendingDownload], run_name: str
) -> Callable[[Callable[P, Artifact]], Fetch[P]]:
    """Declare a fetch: a function that downloads and registers a source, run as a Prefect task.

    Args:
        planned: Answers in a plan, given a temporary folder, without downloading anything.
        run_name: The name of its task runs, with parameters in braces.
    """
    return lambda function: Fetch(function, planned, run_name)


@contextmanager
def labelled(label: str) -> Iterator[None]:
    """Label the runs of the stages in this block, which a flow calls several times."""
    token = _LABEL.set(label)
    try:
        yield
    finally:
        _LABEL.reset(token)


def record_kept(stage: "Stage[P]", artifact: Artifact) -> None:
    """Record the one of several labelled results that a flow keeps as the stage's result."""
    current_flow().note(stage.spec.name, artifact)


def display_progress(stage: str) -> Progress:
    """Progress that is shown on the current display."""
    return partial(current_display().progress, stage)


def flow_tags() -> dict[str, str]:
    """Tags that tie MLflow runs to the current Prefect flow run."""
    context = FlowRunContext.get() or TaskRunContext.get()
    run = getattr(context, "flow_run", None)
    return {"prefect.flow_run": str(run.id), "prefect.flow_run_name": run.name} if run else {}


def _task_tags() -> dict[str, str]:
    context = TaskRunContext.get()
    return {"prefect.task_run": str(context.task_run.id)} if context else {}


def _without_run(function: Callable[..., Artifact]) -> inspect.Signature:
    """A function's signature without its first parameter, the ``StageRun``."""
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _is_retryable(task: Task[..., object], task_run: TaskRun, state: State[object]) -> bool:
    """Whether a fetch failed because of the network, so that another try may succeed."""
    try:
        state.result()
    except DownloadError:
        return True
    except Exception:
        return False
    return False
