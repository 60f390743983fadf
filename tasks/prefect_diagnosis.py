"""Find what is broken on a running Prefect server: schedules, late runs, workers, automations."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectException

from tasks.automations import CRASH_SILENT
from tasks.diagnosis import Finding

_ANSWER_SECONDS = 10.0
_SCHEDULING = timedelta(minutes=2)  # in which the scheduler has seen a new deployment
_PAGE = 200


def diagnose_prefect() -> Iterator[Finding]:
    """Look at the Prefect server that this process uses."""
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": _ANSWER_SECONDS}) as client:
            deployments = client.read_deployments(limit=_PAGE)
            yield from _scheduler(client, deployments)
            yield from _workers(deployments)
            yield from _late(client)
            yield from _automation(client)
    except (HTTPError, PrefectException, OSError) as error:
        yield Finding("broken", "Prefect server", f"does not answer as it should: {error}")


def _scheduler(
    client: SyncPrefectClient, deployments: list[DeploymentResponse]
) -> Iterator[Finding]:
    """Active schedules of which no run is planned: Prefect's scheduler has stopped, or fails."""
    now = datetime.now(tz=UTC)
    scheduled = [each for each in deployments if _has_schedule(each) and not each.paused]
    known = [each for each in scheduled if each.updated is None or now - each.updated > _SCHEDULING]
    planned = {run.deployment_id for run in _runs(client, "Scheduled", after=now)}
    idle = [each.name for each in known if each.id not in planned]
    if idle:
        yield Finding(
            "broken",
            "scheduler",
            f"no run of {', '.join(idle)} is planned although a schedule is active: see versions "
            "above and .prefect/server.log, then gptflow down and gptflow up",
        )
    elif scheduled:
        yield Finding("good", "scheduler", f"plans the runs of {len(scheduled)} deployments")


def _workers(deployments: list[DeploymentResponse]) -> Iterator[Finding]:
    unserved = [each for each in deployments if each.status == "NOT_READY" and not each.paused]
    waiting = [each.name for each in unserved if _has_schedule(each)]
    if waiting:
        yield Finding(
            "broken",
            "worker",
            f"nothing takes the runs of {', '.join(waiting)}: start gptflow up, or a worker",
        )
    elif unserved:
        names = ", ".join(each.name for each in unserved)
        yield Finding("note", "worker", f"nothing takes the runs of {names}: gptflow up does")
    elif deployments:
        yield Finding("good", "worker", f"takes the runs of {len(deployments)} deployments")


def _late(client: SyncPrefectClient) -> Iterator[Finding]:
    late = _runs(client, "Late")
    if late:
        names = ", ".join(sorted({run.name for run in late}))
        yield Finding(
            "broken",
            "late runs",
            f"{len(late)} wait to be started ({names}): a worker is busy or none is there; "
            "gptflow up starts one, Prefect's page Runs cancels them",
        )


def _automation(client: SyncPrefectClient) -> Iterator[Finding]:
    """The automation by which runs of killed processes are closed."""
    found = client.read_automations_by_name(CRASH_SILENT)
    if not found:
        text = (
            "is not registered: killed runs stay Running until gptflow up, or a run, registers it"
        )
        yield Finding("note", "automation", f"'{CRASH_SILENT}' {text}")
    elif not found[0].enabled:
        text = "is switched off: killed runs stay Running; switch it on at Prefect's Automations"
        yield Finding("broken", "automation", f"'{CRASH_SILENT}' {text}")


def _has_schedule(deployment: DeploymentResponse) -> bool:
    return any(schedule.active for schedule in deployment.schedules)


def _runs(client: SyncPrefectClient, state: str, after: datetime | None = None) -> list[FlowRun]:
    chosen = FlowRunFilter(
        state=FlowRunFilterState(name=FlowRunFilterStateName(any_=[state])),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"after_": after}),
    )
    return client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)
