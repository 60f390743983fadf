"""Start killed runs of deployments again, some times at most; find those without a process.

``gptflow up`` looks every few seconds at what Prefect's server says. (An automation of Prefect
would not do: its events are lost with the server's process, and what it does may be done several
times, also to a run that has already begun again.)
"""

import time
from datetime import timedelta
from fnmatch import fnmatchcase
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled
from prefect.types._datetime import now

from tasks import claims
from tasks.automations import TAG, is_killed
from tasks.liveness import close_tasks, is_held, killed_state, prefect_client

_ROUNDS = 4  # in which a run has no process until it counts as lost; its worker is starting it
_PAGE = 200  # the server's limit
_KEPT_DAYS = 30  # of a claim on a run that the server does not know, since another server may
_RECENT = timedelta(days=1)
_AGAIN = "It starts again and continues"
_ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED)
_WITHOUT_PROCESS = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


class Restarts:
    """Finds runs without a process and starts killed ones again.

    Args:
        allowed: How often a run is started again.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._rounds: dict[UUID, tuple[UUID | None, int]] = {}
        self._decided: set[UUID | None] = set()

    def close_lost(self) -> int:
        """Close the runs that the worker of this home took and that have no process.

        Those that never began have no lock by which ``close_dead_runs`` would find them.

        Returns:
            The number of runs closed.
        """
        rounds, self._rounds = self._rounds, {}  # an absent server lets the count begin again
        taken = claims.claimed()
        if not taken:
            return 0
        with prefect_client() as client:
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=taken[:_PAGE]))
            runs = client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)
            alive = claims.living()  # read later than the states, so that a new one is seen
            _release_unknown(set(taken[:_PAGE]) - {run.id for run in runs})
            lost = [run for run in runs if run.id not in alive and self._is_lost(run, rounds)]
            return sum(_close(client, run) for run in lost)

    def _is_lost(self, run: FlowRun, rounds: dict[UUID, tuple[UUID | None, int]]) -> bool:
        """Whether a run without a process has had none for some rounds."""
        state = run.state
        if state is None or state.type in _ENDED or _is_given_up(state):
            claims.release(run.id)
            return False
        if state.type not in _WITHOUT_PROCESS or is_held(run.id):
            return False
        before, count = rounds.get(run.id, (state.id, 0))
        count = count + 1 if before == state.id else 1
        self._rounds[run.id] = (state.id, count)
        return count >= _ROUNDS

    def start_killed(self) -> int:
        """Schedule the runs again whose process was killed.

        Returns:
            The number of runs that start again.
        """
        if not self._allowed:
            return 0
        wanted = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[TAG]),
            deployment_id=FlowRunFilterDeploymentId(is_null_=False),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
            end_time=FlowRunFilterEndTime.model_validate({"after_": now() - _RECENT}),
        )
        with prefect_client() as client:
            newest = FlowRunSort.END_TIME_DESC
            crashed = client.read_flow_runs(flow_run_filter=wanted, sort=newest, limit=_PAGE)
            alive = claims.living()
            return sum(
                self._start(client, run)
                for run in crashed
                if run.state_id not in self._decided
                and run.id not in alive
                and not is_held(run.id)  # it did not crash, and close_dead_runs says so
            )

    def _start(self, client: SyncPrefectClient, run: FlowRun) -> bool:
        """Schedule a crashed run again if it was killed and has a start left."""
        orphan = claims.is_orphan(run.id)
        message = (run.state.message if run.state else None) or ""
        if not (orphan or is_killed(message)) or self._starts(client, run.id) >= self._allowed:
            self._decided.add(run.state_id)
            return False
        text = f"{_AGAIN}, {self._allowed} times at most"
        again: State[None] = Scheduled(name="AwaitingRetry", message=text, scheduled_time=now())
        client.set_flow_run_state(run.id, again)
        claims.release(run.id)
        return True

    @staticmethod
    def _starts(client: SyncPrefectClient, run_id: UUID) -> int:
        """How often a run was started again; Prefect's own count leaves out starts that failed."""
        states = client.read_flow_run_states(run_id)
        return sum(fnmatchcase(state.message or "", f"{_AGAIN}*") for state in states)


def _close(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Close a run without a process: as killed, or as cancelled if that was wanted."""
    state = killed_state()
    if run.state is not None and run.state.type == StateType.CANCELLING:
        state = State(type=StateType.CANCELLED, name="Cancelled")
    close_tasks(client, run.id, state)
    client.set_flow_run_state(run.id, state, force=True)
    return True


def _is_given_up(state: State[object]) -> bool:
    """Whether a run crashed so long ago that it is not started again."""
    return state.type == StateType.CRASHED and now() - state.timestamp > _RECENT


def _release_unknown(unknown: set[UUID]) -> None:
    for run_id in unknown:
        if claims.age_seconds(run_id, time.time()) > _KEPT_DAYS * 86400:
            claims.release(run_id)
