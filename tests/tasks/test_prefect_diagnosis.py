"""A real Prefect server is looked at: schedules that plan nothing, late runs, no worker."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.states import Scheduled
from prefect.types.entrypoint import EntrypointType

from tasks import prefect_diagnosis
from tasks.automations import CRASH_SILENT, register_automations
from tasks.prefect_diagnosis import diagnose_prefect


@flow(name="diagnosed")
def diagnosed() -> None:
    pass


@pytest.fixture
def client(prefect_home: Path) -> Iterator[SyncPrefectClient]:
    """A client of the server that the tests share, without what other tests left there."""
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs():
            client.delete_flow_run(run.id)
        for left in client.read_deployments():
            client.delete_deployment(left.id)
        yield client


@pytest.fixture
def deployment(client: SyncPrefectClient) -> Iterator[UUID]:
    """A deployment with an active schedule, which nothing serves."""
    made = client.create_deployment(
        flow_id=client.create_flow(diagnosed),
        name="nightly",
        schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron="0 3 * * *"))],
        entrypoint=f"{EntrypointType.MODULE_PATH.value}",
    )
    yield made
    client.delete_deployment(made)


def found() -> dict[str, tuple[str, str]]:
    return {each.name: (each.state, each.text) for each in diagnose_prefect()}


def test_a_server_without_deployments_is_not_broken(client: SyncPrefectClient) -> None:
    assert "scheduler" not in found()


def test_a_schedule_that_plans_nothing_and_no_worker_are_broken(
    client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_diagnosis, "_SCHEDULING", timedelta(0))
    planned = client.read_flow_runs()
    for run in planned:
        client.delete_flow_run(run.id)
    state, text = found()["scheduler"]
    assert state == "broken"
    assert text.startswith("no run of nightly is planned although a schedule is active")
    assert found()["worker"] == (
        "broken",
        "nothing takes the runs of nightly: start gptflow up, or a worker",
    )
    tomorrow = datetime.now(tz=UTC) + timedelta(days=1)
    client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=tomorrow))
    assert found()["scheduler"] == ("good", "plans the runs of 1 deployments")


def test_the_automation_that_closes_killed_runs_is_looked_for(client: SyncPrefectClient) -> None:
    register_automations()
    assert "automation" not in found()
    (made,) = client.read_automations_by_name(CRASH_SILENT)
    client.pause_automation(made.id)
    state, text = found()["automation"]
    assert (state, "is switched off" in text) == ("broken", True)
    client.delete_automation(made.id)
    assert found()["automation"][0] == "note"


def test_late_runs_are_named(client: SyncPrefectClient, deployment: UUID) -> None:
    yesterday = datetime.now(tz=UTC) - timedelta(days=1)
    client.create_flow_run_from_deployment(
        deployment, name="waiting", state=Scheduled(name="Late", scheduled_time=yesterday)
    )
    state, text = found()["late runs"]
    assert state == "broken"
    assert text.startswith("1 wait to be started (waiting): ")
