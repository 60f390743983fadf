"""Prefect takes the automations once, keeps what a user changed, and restarts only killed runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType

from tasks import automations
from tasks.automations import CRASH_SILENT, KILLED, RESTART_KILLED, TAG, register_automations

PATIENCE_SECONDS = 60.0


@flow(name="trained")
def trained() -> None:
    """A flow of which only the record matters."""


@pytest.fixture
def client(prefect_home: Path) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


def test_they_are_registered_once_and_a_user_may_switch_them_off(client: SyncPrefectClient) -> None:
    register_automations()
    register_automations(restarts=2)
    (silent,) = client.read_automations_by_name(CRASH_SILENT)
    (first,) = client.read_automations_by_name(RESTART_KILLED)
    client.pause_automation(first.id)
    register_automations(restarts=2)
    (same,) = client.read_automations_by_name(RESTART_KILLED)
    assert same == first.model_copy(update={"enabled": False})
    register_automations(restarts=3)
    (changed,) = client.read_automations_by_name(RESTART_KILLED)
    assert changed.id == first.id
    assert "3 times at most" in str(changed.actions[0].message)
    assert not changed.enabled
    assert client.read_automations_by_name(CRASH_SILENT) == [silent]
    client.resume_automation(first.id)


def test_a_killed_run_is_scheduled_again_as_often_as_allowed(client: SyncPrefectClient) -> None:
    register_automations(restarts=1)
    deployment = client.create_deployment(
        client.create_flow(trained), name="trained", tags=[TAG], paused=True
    )
    stopped = crash(client, deployment, "It was asked to end")
    killed = crash(client, deployment, KILLED)
    assert is_scheduled(client, killed.id, PATIENCE_SECONDS)
    assert not is_scheduled(client, stopped.id, 0.0)
    crash(client, deployment, KILLED, killed)
    time.sleep(3.0)
    assert not is_scheduled(client, killed.id, 0.0), "it has started twice"


def crash(
    client: SyncPrefectClient, deployment: UUID, message: str, run: FlowRun | None = None
) -> FlowRun:
    """Let a run start and crash."""
    run = run or client.create_flow_run_from_deployment(deployment)
    for kind, text in [(StateType.RUNNING, None), (StateType.CRASHED, message)]:
        client.set_flow_run_state(run.id, State(type=kind, message=text), force=True)
    return run


def is_scheduled(client: SyncPrefectClient, run_id: UUID, seconds: float) -> bool:
    """Whether a run waits for its next start, at the latest after some seconds."""
    until = time.monotonic() + seconds
    while True:
        state = client.read_flow_run(run_id).state
        if state is not None and state.name == "AwaitingRetry":
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.2)


def test_a_definition_is_the_same_in_every_process() -> None:
    expected = automations._definition(automations._crash_silent())["trigger"]["expect"]
    assert isinstance(expected, set), "as a list its order would be that of this process"
