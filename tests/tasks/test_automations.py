"""Prefect takes the automation once, and keeps what a user changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger

from tasks import automations
from tasks.automations import CRASH_SILENT, KILLED, SILENT, is_killed, register_automations


@pytest.fixture
def client(prefect_home: Path) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


def test_it_is_registered_once_and_a_user_may_switch_it_off(client: SyncPrefectClient) -> None:
    register_automations()
    (first,) = client.read_automations_by_name(CRASH_SILENT)
    client.pause_automation(first.id)
    register_automations()
    (same,) = client.read_automations_by_name(CRASH_SILENT)
    assert same == first.model_copy(update={"enabled": False})
    wanted = automations._crash_silent()
    older = wanted.model_copy(update={"description": "of an earlier version", "enabled": False})
    client.update_automation(first.id, older)
    register_automations()
    (changed,) = client.read_automations_by_name(CRASH_SILENT)
    assert changed == same
    client.resume_automation(first.id)


def test_the_one_of_an_earlier_version_that_started_runs_again_is_removed(
    client: SyncPrefectClient,
) -> None:
    trigger = EventTrigger(expect={"nothing"}, posture="Reactive", threshold=1)
    former = AutomationCore(name=automations._FORMER, trigger=trigger, actions=[DoNothing()])
    client.create_automation(former)
    register_automations()
    assert client.read_automations_by_name(automations._FORMER) == []


@pytest.mark.parametrize(
    ("message", "killed"),
    [
        (KILLED, True),
        (SILENT, True),
        ("Process exited with status code: -9. Killed", True),
        ("Process exited with status code: 137. Out of memory", True),
        ("Process exited with status code: 1. An error", True),
        ("Process exited with status code: 143. Asked to end", False),
        ("Process exited with status code: -15. Asked to end", False),
        ("Process exited with status code: 130. Ctrl-C", False),
        ("It was asked to end", False),
        ("Execution was aborted by a termination signal.", False),
        ("Request to http://127.0.0.1:4200/api failed: ConnectError.", True),
        ("", False),
    ],
)
def test_a_message_tells_a_kill_from_a_wish(message: str, killed: bool) -> None:
    assert is_killed(message) is killed


def test_a_definition_is_the_same_in_every_process() -> None:
    expected = automations._definition(automations._crash_silent())["trigger"]["expect"]
    assert isinstance(expected, set), "as a list its order would be that of this process"
