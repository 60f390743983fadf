"""Deployments as code: ``deployments.toml``, read and checked before anything is registered.

Each ``[[deployment]]`` is a flow with its settings, its schedules and the place where it runs.
Prefect is not imported, so that mistakes are answered at once.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from flows.clusters import Cluster, read_cluster
from flows.cron import check_cron
from flows.declarations import FLOWS, Flow
from flows.pools import Pool, read_pool
from gpt_core.config import RunConfig, build_config, load_config, override_config, read_toml
from gpt_core.config.checks import require
from gpt_core.config.section import Section
from gpt_core.errors import ConfigError, GPTCoreError
from tasks.addresses import require_no_passwords
from tasks.paths import project_root

FILE_NAME = "deployments.toml"

Missed = Literal["skip", "catch up"]
"""The fate of a scheduled run that could not start in time."""

_NAME = re.compile(r"\w[\w .-]{0,99}")
_KINDS = ("cron", "interval", "rrule")
_MIN_GRACE = 10  # seconds, of Prefect's automations


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleEntry(Section):
    """When a deployment starts runs: one of ``cron``, ``interval`` and ``rrule``."""

    slug: str = ""
    """The name within the deployment; the schedule's kind if not given."""

    cron: str | None = None
    """Minute, hour, day, month and weekday, such as ``0 3 * * *``."""

    interval: float | None = None
    """Seconds from one run to the next."""

    rrule: str | None = None
    """A recurrence rule of iCalendar, such as ``FREQ=WEEKLY;BYDAY=SU``."""

    timezone: str = "UTC"
    """The name of the time zone in which the times are meant, such as ``Europe/Berlin``."""

    anchor: str = "2026-01-01T00:00:00"
    """The time from which intervals count, in the time zone."""

    active: bool = True
    """False: the schedule is kept but starts nothing."""

    def __post_init__(self) -> None:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        require(len(given) == 1, f"give one of cron, interval and rrule, got {given or 'none'}")
        if self.cron is not None:
            check_cron(self.cron, "cron")
        require(
            self.interval is None or self.interval >= 1,
            f"interval must be at least 1 second, got {self.interval}",
        )
        try:
            ZoneInfo(self.timezone)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"there is no time zone {self.timezone!r}; such as Europe/Berlin"
            ) from error
        try:
            datetime.fromisoformat(self.anchor)
        except ValueError as error:
            raise ConfigError(f"anchor must be a time, got {self.anchor!r}") from error
        if not self.slug:
            object.__setattr__(self, "slug", given[0])

    @property
    def anchor_date(self) -> datetime:
        """The time from which intervals count."""
        time = datetime.fromisoformat(self.anchor)
        return time if time.tzinfo else time.replace(tzinfo=ZoneInfo(self.timezone))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry(Section):
    """The fields of a deployment that have no structure of their own."""

    name: str
    flow: str
    preset: str = "tiny"
    description: str | None = None
    tags: tuple[str, ...] = ()
    missed: Missed = "catch up"
    grace: int = 600

    def __post_init__(self) -> None:
        require(
            bool(_NAME.fullmatch(self.name)),
            f"a name has letters, digits, spaces, '.', '_' and '-', got {self.name!r:.120}",
        )
        require(
            self.flow in FLOWS,
            f"there is no flow {self.flow!r:.100}; there are {', '.join(FLOWS)}",
        )
        require(
            self.name != self.flow,
            f"the deployment {self.flow}/{self.name} is the one that gptflow up makes itself: "
            "choose another name",
        )
        require(all(self.tags), "tags must not be empty")
        require(self.grace >= _MIN_GRACE, f"grace must be at least {_MIN_GRACE}, got {self.grace}")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A deployment that can be registered."""

    name: str
    flow: Flow
    preset: str
    config: RunConfig
    """The configuration that its runs begin with: the preset with the settings."""

    description: str
    tags: tuple[str, ...]
    missed: Missed
    grace: int
    """Seconds after its time until a run counts as missed."""

    schedules: tuple[ScheduleEntry, ...] = ()
    pool: Pool | None = None
    """Where it runs; None in ``gptflow up``."""

    cluster: Cluster | None = None
    """The cluster that runs it on several nodes, without Prefect's workers; None if there is none.
    """

    unread: tuple[str, ...] = field(default=())
    """Settings that the flow does not read."""

    @property
    def full_name(self) -> str:
        """The name in Prefect, with that of the flow."""
        return f"{self.flow.name}/{self.name}"


@dataclass(frozen=True)
class DeploymentFile:
    """A file of deployments."""

    path: Path
    project: str
    """The name that tells its deployments from those of other files on the same server."""

    deployments: tuple[Deployment, ...]


def find_file(given: Path | None = None) -> Path | None:
    """The file that is meant: the given one, the current folder's, or the home's, if any."""
    if given is not None:
        return given
    candidates = (Path.cwd() / FILE_NAME, project_root() / FILE_NAME)
    return next((each for each in candidates if each.is_file()), None)


def read_file(path: Path) -> DeploymentFile:
    """Read and check a file of deployments.

    Raises:
        ConfigError: In one sentence that names the file, the deployment and what is wrong with it.
    """
    tree = dict(read_toml(path))
    with _at(str(path)):
        entries = _tables(tree.pop("deployment", []), "deployment")
        project = tree.pop("project", path.stem)
        require(not tree, f"there is no setting {', '.join(tree)}; there are project, deployment")
        require(
            isinstance(project, str) and bool(_NAME.fullmatch(project)),
            f"project must be a name, got {project!r:.100}",
        )
        require(bool(entries), "it declares no [[deployment]]")
    deployments = []
    for number, entry in enumerate(entries, start=1):
        with _at(f"{path}, deployment {entry.get('name', number)!r:.100}"):
            deployments.append(_read_deployment(entry))
    with _at(str(path)):
        names = [each.full_name for each in deployments]
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, f"it declares {', '.join(twice)} twice")
        _require_same_pools(deployments)
    return DeploymentFile(path, str(project), tuple(deployments))


def without_clusters(file: DeploymentFile) -> DeploymentFile:
    """The file with those deployments alone that Prefect knows."""
    known = tuple(each for each in file.deployments if each.cluster is None)
    return replace(file, deployments=known)


def _read_deployment(tree: Mapping[str, object]) -> Deployment:
    rest = dict(tree)
    settings, schedules = rest.pop("settings", []), rest.pop("schedules", [])
    pool, cluster = rest.pop("pool", None), rest.pop("cluster", None)
    known = [*(each.name for each in fields(_Entry)), "settings", "schedules", "pool", "cluster"]
    unknown = [name for name in rest if name not in known]
    require(not unknown, f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    entry = build_config(_Entry, rest)
    flow = FLOWS[entry.flow]
    config, unread = _configure(flow, entry.preset, settings)
    with _at("pool"):
        where = None if pool is None else read_pool(pool)
    with _at("cluster"):
        nodes = None if cluster is None else read_cluster(cluster, config)
        alone = nodes is None or (where is None and not schedules)
        require(alone, "its scheduler starts the job: leave pool and schedules out")
        require(
            nodes is None or "launch" in flow.form_sections,
            f"the flow {flow.name} does not pretrain, so that one node is enough",
        )
    return Deployment(
        name=entry.name,
        flow=flow,
        preset=entry.preset,
        config=config,
        description=flow.help if entry.description is None else entry.description,
        tags=entry.tags,
        missed=entry.missed,
        grace=entry.grace,
        schedules=_read_schedules(schedules),
        pool=where,
        cluster=nodes,
        unread=unread,
    )


def _configure(flow: Flow, preset: str, settings: object) -> tuple[RunConfig, tuple[str, ...]]:
    """The configuration, and the settings without effect."""
    if isinstance(settings, Mapping):
        names: Sequence[str] = [str(name) for name in settings]
        config = override_config(load_config(preset), settings)
    else:
        require(
            isinstance(settings, list) and all(isinstance(each, str) for each in settings),
            f"settings must be a table, or a list of 'section.field=value', got {settings!r:.100}",
        )
        names = [flow.resolve_alias(str(each)) for each in settings]  # type: ignore[attr-defined]
        config = load_config(preset, settings=names)
    require_no_passwords(config)
    return config, tuple(name for name in names if not flow.reads_setting(name))


def _read_schedules(value: object) -> tuple[ScheduleEntry, ...]:
    schedules = []
    for number, tree in enumerate(_tables(value, "schedules"), start=1):
        with _at(f"schedule {tree.get('slug', number)!r:.100}"):
            anchor = tree.get("anchor")
            times = {"anchor": anchor.isoformat()} if isinstance(anchor, datetime) else {}
            schedules.append(build_config(ScheduleEntry, {**tree, **times}))
    slugs = [schedule.slug for schedule in schedules]
    twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
    require(not twice, f"two schedules have the slug {', '.join(twice)}: give each its own")
    return tuple(schedules)


def _tables(value: object, name: str) -> list[Mapping[str, object]]:
    good = isinstance(value, list) and all(isinstance(each, Mapping) for each in value)
    require(good, f"{name} must be a list of tables: write [[{name}]]")
    return value  # type: ignore[return-value]


def _require_same_pools(deployments: Sequence[Deployment]) -> None:
    """Require that a pool that several deployments name is the same one."""
    known: dict[str, Pool] = {}
    for pool in (each.pool for each in deployments if each.pool):
        bare = replace(pool, image=None, job={})
        before = known.setdefault(pool.name, bare)
        require(before == bare, f"the pool {pool.name} is declared in two ways")


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Begin the messages of errors with the place."""
    try:
        yield
    except GPTCoreError as error:
        raise ConfigError(f"{where}: {error}") from error
