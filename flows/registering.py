"""Deployments of a file as Prefect's: built, compared with what the server has, registered."""

from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta
from typing import cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import DeploymentSchedule, VersionInfo
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Schedule
from prefect.types.entrypoint import EntrypointType

from flows.deployments import Deployment, DeploymentFile, ScheduleEntry
from flows.forms import to_form
from flows.missed import skipping_tag
from flows.pools import Pool
from flows.running import as_prefect_flow
from gpt_core.artifact import fingerprint_of, to_json_value
from gpt_core.errors import ConfigError, DataError
from tasks.automations import TAG
from tasks.commit import short_commit

_PAGE = 200  # the server's limit


def project_tag(project: str) -> str:
    """The tag of all deployments of a file."""
    return f"project:{project}"


def build_deployment(declared: Deployment, file: DeploymentFile) -> RunnerDeployment:
    """Build what Prefect registers.

    Raises:
        ConfigError: If Prefect does not accept a schedule.
    """
    flow, form = declared.flow, to_form(declared.config, declared.flow.form_sections)
    pool = declared.pool
    built = RunnerDeployment.from_flow(
        as_prefect_flow(flow, flow.form_sections),
        name=declared.name,
        description=declared.description,
        tags=[
            TAG,
            *declared.tags,
            project_tag(file.project),
            *([skipping_tag(declared.grace)] if declared.missed == "skip" else []),
        ],
        parameters={"config": form},
        schedules=[_schedule(each, declared, file) for each in declared.schedules],
        version=_version(declared),
        work_pool_name=pool.name if pool else None,
        job_variables=pool.job_variables if pool else None,
        entrypoint_type=EntrypointType.MODULE_PATH,  # it is imported where it runs
    )
    built.work_pool_name = pool.name if pool else None  # leaves a pool that it was in
    return built


def register(client: SyncPrefectClient, built: RunnerDeployment) -> UUID:
    """Create or change a deployment, so that it is exactly what was built.

    Raises:
        DataError: If the server refuses it.
    """
    version = VersionInfo(type="prefect:simple", version=built.version or "")
    identity = cast(UUID, built.apply(version_info=version))
    kept = {schedule.slug for schedule in built.schedules or []}
    for schedule in client.read_deployment_schedules(identity):
        if schedule.slug not in kept:  # Prefect changes and adds, but removes none
            client.delete_deployment_schedule(identity, schedule.id)
    return identity


def registered(client: SyncPrefectClient, project: str) -> dict[str, DeploymentResponse]:
    """The deployments of a project that the server has, by their full names."""
    wanted = DeploymentFilter(tags=DeploymentFilterTags(all_=[project_tag(project)]))
    found: list[DeploymentResponse] = []
    while True:
        page = client.read_deployments(deployment_filter=wanted, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            break
    names = {flow: client.read_flow(flow).name for flow in {each.flow_id for each in found}}
    return {f"{names[each.flow_id]}/{each.name}": each for each in found}


def existing(client: SyncPrefectClient, full_name: str) -> DeploymentResponse | None:
    """A deployment of the server, if it has it."""
    try:
        return client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        return None


def differences(
    before: DeploymentResponse | None, after: RunnerDeployment
) -> list[tuple[str, str, str]]:
    """The values that registering would change: name, old and new value."""
    old = {} if before is None else dict(_described(before))
    new = dict(_described(after))
    return [
        (name, old.get(name, ""), new.get(name, ""))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def ensure_pool(client: SyncPrefectClient, pool: Pool, *, dry_run: bool) -> str:
    """Create a work pool or bring it to its template.

    Returns:
        What was done: ``new``, ``changed`` or ``unchanged``.

    Raises:
        DataError: If there is a pool of this name of another type.
    """
    try:
        found = client.read_work_pool(pool.name)
    except ObjectNotFound:
        if not dry_run:
            client.create_work_pool(
                WorkPoolCreate(
                    name=pool.name,
                    type=pool.type,
                    base_job_template=pool.template,
                    concurrency_limit=pool.limit,
                )
            )
        return "new"
    if found.type != pool.type:
        raise DataError(
            f"the server's work pool {pool.name} is of type {found.type}, not {pool.type}: choose "
            "another name, or delete it there"
        )
    if found.base_job_template == pool.template and found.concurrency_limit == pool.limit:
        return "unchanged"
    if not dry_run:
        client.update_work_pool(
            pool.name,
            WorkPoolUpdate(base_job_template=pool.template, concurrency_limit=pool.limit),
        )
    return "changed"


def _version(declared: Deployment) -> str:
    """The commit, and the fingerprint of the configuration."""
    fingerprint = fingerprint_of(to_form(declared.config, declared.flow.form_sections))
    return "-".join(filter(None, (short_commit(), fingerprint[:10])))


def _schedule(entry: ScheduleEntry, declared: Deployment, file: DeploymentFile) -> Schedule:
    try:
        return Schedule(
            cron=entry.cron,
            interval=None if entry.interval is None else timedelta(seconds=entry.interval),
            rrule=entry.rrule,
            timezone=entry.timezone,
            anchor_date=entry.anchor_date,
            active=entry.active,
            slug=entry.slug,
        )
    except ValueError as error:
        raise ConfigError(
            f"{file.path}, deployment {declared.name!r}, schedule {entry.slug!r}: {error}"
        ) from error


def _described(deployment: RunnerDeployment | DeploymentResponse) -> Iterator[tuple[str, str]]:
    """All that tells one deployment from another, as names and texts."""
    yield "description", deployment.description or ""
    yield "tags", ", ".join(sorted(deployment.tags))
    yield "pool", deployment.work_pool_name or ""
    yield "entrypoint", deployment.entrypoint or ""
    for schedule in deployment.schedules or []:
        yield f"schedule {schedule.slug}", describe_schedule(schedule)
    yield from _flat(to_json_value(deployment.parameters.get("config", {})), "")
    yield from _flat(deployment.job_variables or {}, "job.")
    schema = (
        deployment.parameter_openapi_schema
        if isinstance(deployment, DeploymentResponse)
        else deployment._parameter_openapi_schema.model_dump(exclude_unset=True)
    )
    yield "form", fingerprint_of(schema)[:10]
    yield "version", deployment.version or ""


def describe_schedule(
    entry: DeploymentScheduleCreate | DeploymentScheduleUpdate | DeploymentSchedule,
) -> str:
    """A schedule in words."""
    schedule, active = entry.schedule, entry.active
    if isinstance(schedule, CronSchedule):
        text = f"cron {schedule.cron}"
    elif isinstance(schedule, IntervalSchedule):
        anchor = schedule.anchor_date.astimezone(UTC)
        text = f"every {schedule.interval.total_seconds():g} s from {anchor:%Y-%m-%dT%H:%M:%SZ}"
    else:
        text = " ".join(f"rrule {getattr(schedule, 'rrule', '')}".split())
    zone = getattr(schedule, "timezone", None) or "UTC"
    return f"{text} {zone}{'' if active else ', paused'}"


def _flat(tree: object, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(tree, Mapping):
        yield path.rstrip("."), str(tree)
        return
    for name, value in tree.items():
        yield from _flat(value, f"{path}{name}.")
