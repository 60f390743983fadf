"""Skip scheduled runs that could not start in time, if their deployment says so.

Prefect starts every scheduled run that it created before, however late. So ``gptflow up`` and
``gptflow worker`` cancel the runs that were missed while they were away, and a run that is started
too late by another worker, or after a long one that was before it, ends at once. (An automation
of Prefect on late runs acts a quarter of an hour later: the events of scheduled runs wait for an
event of their creation, which Prefect does not send.)
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled

_STATE, _AUTOMATIC = "Missed", "auto-scheduled"
_TAG = re.compile(r"skip after (\d+) s")
_PAGE = 200  # the server's limit


def skipping_tag(grace: int) -> str:
    """The tag of a deployment by which its runs know that they are skipped if they are missed.

    Args:
        grace: Seconds after its time until a run counts as missed.
    """
    return f"skip after {grace} s"


def missed_state(
    tags: Iterable[str], scheduled: datetime | None, now: datetime, starts: int
) -> State[None] | None:
    """The state of a run that starts too late, or None if it is to run.

    Args:
        tags: Its tags, of which one is from its deployment.
        scheduled: When it should have started.
        now: The time.
        starts: How often it was started before; a restart is never skipped.
    """
    found = [match for tag in tags if (match := _TAG.fullmatch(tag))]
    if not found or _AUTOMATIC not in tags or starts or scheduled is None:
        return None
    late = (now - scheduled).total_seconds()
    if late <= int(found[0][1]):
        return None
    message = f"it would have started {late:,.0f} s late, and missed runs are skipped"
    return Cancelled(name=_STATE, message=message)


def cancel_missed(client: SyncPrefectClient) -> int:
    """Cancel all runs of the server that are to be skipped, before a worker starts them.

    Returns:
        How many there were.
    """
    time, cancelled, offset = datetime.now(UTC), 0, 0
    due = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[_AUTOMATIC]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"before_": time}),
    )
    while True:
        page = client.read_flow_runs(flow_run_filter=due, limit=_PAGE, offset=offset)
        for run in page:
            state = missed_state(run.tags, run.expected_start_time, time, run.run_count)
            if state is None:
                offset += 1  # it stays in the list
            else:
                client.set_flow_run_state(run.id, state)
                cancelled += 1
        if len(page) < _PAGE:
            return cancelled
