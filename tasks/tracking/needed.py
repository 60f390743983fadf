"""Artifacts that models and runs of MLflow need, and a tag for those that were removed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow.entities import Run

from tasks.in_use import running_flows
from tasks.paths import from_home
from tasks.tracking.abandoned import HOLDER
from tasks.tracking.store import client

KEEP_TAG = "keep"
"""A run with this tag, which can be set in MLflow's UI, pins what it made."""

REMOVED_TAG = "artifact_removed"
"""When the artifact of a run was removed."""

_AUTOMATIC = "newest"  # alias
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Needed:
    """Artifacts that are not removed."""

    why: str
    fingerprints: frozenset[str]
    paths: frozenset[str]


def needed_artifacts() -> list[Needed]:
    """The artifacts of registered models with an alias, and of runs with the tag ``keep``."""
    return [*_with_alias(), *_pinned()]


def running_since() -> float | None:
    """When the first of the runs that are recorded now began, None without one."""
    return min(map(_started, running_flows()), default=None)


def note_removed(fingerprints: Iterable[str]) -> None:
    """Set the tag of removed artifacts on the runs that made them."""
    now = datetime.now(tz=UTC).isoformat(timespec="seconds")
    for fingerprint in fingerprints:
        for run in _search(f"tags.fingerprint = '{fingerprint}'"):
            client().set_tag(run.info.run_id, REMOVED_TAG, now)


def _with_alias() -> Iterator[Needed]:
    """The models with an alias such as champion; earlier versions moved one at every run."""
    for model in client().search_registered_models(max_results=_PAGE):
        for alias, number in model.aliases.items():
            if alias == _AUTOMATIC:
                continue
            version = client().get_model_version(model.name, number)
            run = client().get_run(str(version.run_id))
            fingerprint = version.tags.get("fingerprint") or run.data.tags.get("fingerprint")
            made = frozenset([fingerprint] if fingerprint else [])
            yield Needed(f"{alias} of {model.name}", made, frozenset())


def _pinned() -> Iterator[Needed]:
    for run in _search(f"tags.{KEEP_TAG} != 'false'"):
        yield _made(run, f"pinned by the tag {KEEP_TAG} of run {run.info.run_name}")


def _made(run: Run, why: str) -> Needed:
    tags = run.data.tags
    paths = [path for name, path in tags.items() if name.partition(".")[0] == "artifact"]
    fingerprint = tags.get("fingerprint")
    return Needed(
        why,
        frozenset([fingerprint] if fingerprint else []),
        frozenset(from_home(path) for path in paths),
    )


def _started(holder: str) -> float:
    runs = _search(f"tags.{HOLDER} = '{holder}'")
    # One that is recorded in another store may use anything.
    return min((float(run.info.start_time) / 1000 for run in runs), default=0.0)


def _search(question: str) -> list[Run]:
    experiments = [each.experiment_id for each in client().search_experiments()]
    found = client().search_runs(experiments, question, max_results=_PAGE)
    runs = list(found)
    while found.token:
        found = client().search_runs(
            experiments, question, max_results=_PAGE, page_token=found.token
        )
        runs += found
    return runs
