"""Killed runs start again, some times at most; runs that lost their process are found."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelling, Completed, Crashed, Pending, Running
from waiting import eventually

from tasks import claims, liveness, restarts
from tasks.automations import KILLED, SILENT, TAG
from tasks.liveness import close_dead_runs, has_completed, hold_flow_run, note_outcome
from tasks.processes import WORKER, mark
from tasks.restarts import Restarts


@flow(name="trained")
def trained() -> None:
    """A flow of which only the record matters."""


@pytest.fixture
def client(prefect_home: Path) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture
def deployment(client: SyncPrefectClient) -> UUID:
    """A deployment of gptflow that no worker serves."""
    return client.create_deployment(
        client.create_flow(trained), name=str(uuid4()), tags=[TAG], paused=True
    )


def run_in(
    client: SyncPrefectClient, deployment: UUID, *states: State[object], claimed: bool = True
) -> FlowRun:
    """A run of the deployment in a state, which the worker of this home has taken."""
    run = client.create_flow_run_from_deployment(deployment, tags=[TAG])
    if claimed:
        claims.claim(run.id)
    for each in states:
        client.set_flow_run_state(run.id, each, force=True)
    return run


def process_of(run: FlowRun) -> "subprocess.Popen[bytes]":
    """A process that the worker of this home started for a run."""
    variables = {**os.environ, **mark(WORKER), "PREFECT__FLOW_RUN_ID": str(run.id)}
    started = subprocess.Popen([sys.executable, "-c", "input()"], env=variables,
                               stdin=subprocess.PIPE)  # fmt: skip
    eventually(lambda: run.id in claims.living())
    return started


def release_lock(run: FlowRun) -> None:
    """Release the lock of a run, as the end of its process does."""
    liveness._HELD.pop(str(run.id)).release()


def state(client: SyncPrefectClient, run: FlowRun) -> State[object]:
    found = client.read_flow_run(run.id).state
    assert found is not None
    return found


def crash_again(client: SyncPrefectClient, run: FlowRun) -> None:
    for each in (Pending(), Running(), Crashed(message=KILLED)):
        client.set_flow_run_state(run.id, each, force=True)


def test_a_killed_run_starts_again_as_often_as_allowed(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    killed = run_in(client, deployment, Running(), Crashed(message=KILLED))
    elsewhere = run_in(client, deployment, Crashed(message=SILENT), claimed=False)
    wanted = run_in(client, deployment, Running(), Crashed(message="It was asked to end"))
    assert Restarts(0).start_killed() == 0
    looking = Restarts(2)
    assert looking.start_killed() == 2
    assert looking.start_killed() == 0, "once for each crash"
    assert [state(client, each).name for each in (killed, elsewhere, wanted)] == [
        "AwaitingRetry", "AwaitingRetry", "Crashed",
    ]  # fmt: skip
    due = client.read_flow_run(killed.id).next_scheduled_start_time
    assert due is not None
    crash_again(client, killed)
    assert Restarts(2).start_killed() == 1, "another process counts as this one does"
    crash_again(client, killed)
    assert looking.start_killed() == 0
    assert state(client, killed).message == KILLED


def test_a_run_that_its_next_worker_ended_was_not_asked_to_end_by_a_user(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    orphan, other = (run_in(client, deployment, Running()) for _ in range(2))
    working = process_of(orphan)
    claims.mark_orphans()
    working.communicate(b"")
    for run in (orphan, other):
        client.set_flow_run_state(run.id, Crashed(message="It was asked to end"), force=True)
    assert Restarts(1).start_killed() == 1
    assert state(client, orphan).name == "AwaitingRetry"
    assert state(client, other).name == "Crashed"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Pending(), StateType.CRASHED),
        (Running(), StateType.CRASHED),
        (Cancelling(), StateType.CANCELLED),
    ],
)
def test_a_run_that_lost_its_process_before_it_had_a_lock_is_closed(
    client: SyncPrefectClient, deployment: UUID, before: State[object], after: StateType
) -> None:
    run = run_in(client, deployment, Running(), before)
    unclaimed = run_in(client, deployment, Running(), before, claimed=False)
    looking = Restarts(1)
    assert [looking.close_lost() for _ in range(restarts._ROUNDS)] == [0, 0, 0, 1]
    assert state(client, run).type == after
    assert state(client, unclaimed).type == before.type, "it may be another home's"
    assert looking.start_killed() == (after == StateType.CRASHED)


def test_a_run_with_a_process_or_a_lock_is_left_alone(
    client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_HELD", {})
    starting, working = (run_in(client, deployment, Running()) for _ in range(2))
    process = process_of(starting)
    hold_flow_run(working.id)
    looking = Restarts(1)
    assert sum(looking.close_lost() for _ in range(2 * restarts._ROUNDS)) == 0
    for run in (starting, working):  # as after a while in which this machine stood still
        client.set_flow_run_state(run.id, Crashed(message=SILENT), force=True)
    assert looking.start_killed() == 0
    process.communicate(b"")
    assert looking.start_killed() == 1


def test_an_ended_run_is_no_longer_looked_at(client: SyncPrefectClient, deployment: UUID) -> None:
    run = run_in(client, deployment, Completed())
    unknown = uuid4()
    claims.claim(unknown)
    assert Restarts(1).close_lost() == 0
    assert claims.claimed() == [unknown], f"{run.id} has ended, the other's server may come back"


def test_a_run_that_crashed_long_ago_is_no_longer_looked_at(
    client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(client, deployment, Crashed(message=SILENT))
    Restarts(0).close_lost()
    assert claims.claimed() == [run.id], "the next start asks whether it was an orphan"
    monkeypatch.setattr(restarts, "_RECENT", timedelta(0))
    Restarts(0).close_lost()
    assert claims.claimed() == []


def test_what_completed_while_the_server_was_away_is_known_to_the_next_start(
    client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_HELD", {})
    run = run_in(client, deployment, Running())
    hold_flow_run(run.id)
    with note_outcome(run.id):
        pass
    release_lock(run)  # its process ends
    client.set_flow_run_state(run.id, Pending(), force=True)
    assert close_dead_runs() == 0
    assert not hold_flow_run(run.id)
    assert has_completed(run.id)
    release_lock(run)
    client.set_flow_run_state(run.id, Crashed(message=SILENT), force=True)
    assert close_dead_runs() == 1
    assert state(client, run).type == StateType.COMPLETED
