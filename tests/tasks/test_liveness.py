"""Runs whose process is gone are closed in Prefect as what they were; one that lives is not."""

import subprocess
import sys
import threading
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from webhook import Hook

from gpt_core.durable import make_directory
from tasks import liveness
from tasks.automations import KILLED
from tasks.liveness import close_dead_runs, hold_flow_run, note_outcome
from tasks.notifications import ADDRESSES, flush

HOLD = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("ready", flush=True)
sys.stdin.read()
"""


@flow(name="survivor")
def survivor() -> None:
    """A flow of which only the record matters."""


@pytest.fixture
def run(prefect_home: Path) -> FlowRun:
    """A run that Prefect takes for running."""
    with get_client(sync_client=True) as client:
        created = client.create_flow_run(survivor)
        client.set_flow_run_state(created.id, State(type=StateType.RUNNING), force=True)
        return created


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs that this process holds are forgotten after the test."""
    monkeypatch.setattr(liveness, "_HELD", {})


def process(run: FlowRun) -> "subprocess.Popen[str]":
    """A process that works on a run."""
    make_directory(liveness.running_dir())
    started = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(liveness._path(str(run.id)))], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def state(run_id: UUID) -> State[object]:
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(run_id).state
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("killed", StateType.CRASHED, KILLED),
        (None, StateType.COMPLETED, None),
        (ValueError("no text"), StateType.FAILED, "no text"),
        (SystemExit(143), StateType.CRASHED, "It was asked to end"),
    ],
)
def test_a_run_without_a_process_is_closed_as_what_it_was(
    run: FlowRun, error: BaseException | str | None, kind: StateType, message: str | None
) -> None:
    working = process(run)
    assert close_dead_runs() == 0
    assert state(run.id).type == StateType.RUNNING
    if error != "killed":
        with suppress(ValueError, SystemExit), note_outcome(run.id):
            if isinstance(error, BaseException):
                raise error
    kill(working)
    assert close_dead_runs() == 1
    assert (state(run.id).type, state(run.id).message) == (kind, message)
    assert close_dead_runs() == 0
    assert list(liveness.running_dir().iterdir()) == []


def test_a_crash_of_a_run_that_lives_is_taken_back(run: FlowRun) -> None:
    working = process(run)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, State(type=StateType.CRASHED), force=True)
    assert close_dead_runs() == 0
    assert state(run.id).type == StateType.RUNNING
    kill(working)


def test_a_run_that_was_being_cancelled_is_cancelled(run: FlowRun) -> None:
    kill(process(run))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, State(type=StateType.CANCELLING), force=True)
    assert close_dead_runs() == 1
    assert state(run.id).type == StateType.CANCELLED


@pytest.mark.usefixtures("forgotten")
def test_a_second_process_of_a_run_waits_for_the_first(run: FlowRun) -> None:
    first = process(run)
    context = copy_context()  # with the address of the server
    second = threading.Thread(target=context.run, args=(hold_flow_run, run.id), daemon=True)
    second.start()
    second.join(1.0)
    assert second.is_alive()
    kill(first)
    second.join(60.0)
    assert not second.is_alive()


def test_without_a_server_runs_are_closed_later(
    run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(process(run))
    with monkeypatch.context() as patch:
        patch.setattr(liveness, "prefect_client", unreachable)
        assert close_dead_runs() == 0
    assert close_dead_runs() == 1


def unreachable() -> None:
    raise ConnectionRefusedError


@pytest.mark.usefixtures("forgotten")
def test_a_killed_run_is_a_message_once(run: FlowRun, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hook().serving() as hook:
        monkeypatch.setenv(ADDRESSES, hook.address)
        kill(process(run))
        close_dead_runs()
        close_dead_runs()
        flush()
    assert hook.texts == [f"survivor {run.name} was killed\nits process ended without a word"]


@pytest.mark.usefixtures("forgotten")
def test_a_run_that_starts_again_knows_that_it_was_killed(run: FlowRun) -> None:
    kill(process(run))
    assert hold_flow_run(run.id)
    assert not hold_flow_run(run.id), "a retry in the same process"


@pytest.mark.usefixtures("forgotten")
def test_a_killed_run_that_is_about_to_start_again_is_left_alone(run: FlowRun) -> None:
    kill(process(run))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, State(type=StateType.PENDING), force=True)
    assert close_dead_runs() == 0
    assert state(run.id).type == StateType.PENDING
