"""Plan a flow: its stages answer with a cached or a pending artifact instead of running.

The flow function itself is what is planned, so a plan cannot disagree with a run.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import list_steps, step_of_directory
from gpt_core.manifest import MANIFEST
from tasks.caching import cached_artifact, stage_key
from tasks.paths import artifact_dir
from tasks.specs import StageSpec

DONE, TO_DO = "done", "to do"


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingArtifact(Artifact):
    """The result of a stage that has not run; it has neither files nor a fingerprint."""

    path: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class PendingDownload:
    """A source or release that a run would download."""

    name: str
    n_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage of a plan and its state."""

    name: str
    state: str
    artifact: Artifact
    """The cached result, or a pending one."""

    @property
    def done(self) -> bool:
        """Whether the result is cached."""
        return not isinstance(self.artifact, PendingArtifact)


@dataclass(slots=True)
class Plan:
    """The stages that a flow has called so far.

    Args:
        name: The run's name, part of its artifacts' directories.
        folder: A temporary folder for the records of sources.
    """

    name: str
    folder: Path
    stages: list[PlannedStage] = field(default_factory=list)

    def add_stage(
        self, spec: StageSpec, inputs: tuple[object, ...], *, resumable: bool
    ) -> Artifact:
        """Answer a stage's call with its cached artifact, or with a pending one.

        Args:
            spec: The stage.
            inputs: What its result depends on.
            resumable: The stage keeps checkpoints from which it resumes.
        """
        pending = PendingArtifact(kind=spec.kind)
        if any(isinstance(artifact, PendingArtifact) for artifact in artifacts_in(inputs)):
            return self._add(spec.name, TO_DO, pending)
        key = stage_key(spec, *inputs)
        cached = cached_artifact(key)
        if cached is not None:
            return self._add(spec.name, DONE, cached)
        begun = resumable and _newest_step(artifact_dir(spec.kind, self.name, key))
        return self._add(spec.name, f"begun, step {begun}" if begun else TO_DO, pending)

    def add_download(self, download: PendingDownload) -> Artifact:
        """Note a download that a run would begin with."""
        size = "" if download.n_bytes is None else f", {download.n_bytes:,} bytes"
        return self._add(f"fetch {download.name}", f"to fetch{size}", PendingArtifact(kind="raw"))

    def _add(self, name: str, state: str, artifact: Artifact) -> Artifact:
        self.stages.append(PlannedStage(name, state, artifact))
        return artifact


_PLAN: ContextVar[Plan | None] = ContextVar("plan", default=None)


@contextmanager
def planning(name: str) -> Iterator[Plan]:
    """Plan the stages that are called in this block instead of running them.

    Args:
        name: The run's name.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(name, Path(folder))
        token = _PLAN.set(plan)
        try:
            yield plan
        finally:
            _PLAN.reset(token)


def current_plan() -> Plan | None:
    """The plan that is being made in the current context, or None."""
    return _PLAN.get()


def artifacts_in(inputs: object) -> list[Artifact]:
    """The artifacts among a stage's inputs, those in lists and dictionaries included."""
    if isinstance(inputs, Artifact):
        return [inputs]
    if isinstance(inputs, dict):
        inputs = list(inputs.values())
    if isinstance(inputs, list | tuple):
        return [artifact for value in inputs for artifact in artifacts_in(value)]
    return []


def _newest_step(run_dir: Path) -> int:
    """The step of the newest checkpoint of an interrupted run; 0 if there is none."""
    finished = (folder for folder in list_steps(run_dir) if (folder / MANIFEST).is_file())
    return max(map(step_of_directory, finished), default=0)
