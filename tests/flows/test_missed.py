"""A run that is too late is skipped if its deployment says so. See ``test_scheduled`` too."""

from datetime import UTC, datetime, timedelta

import prefect
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Scheduled

from flows.missed import cancel_missed, missed_state, skipping_tag

TIME = datetime(2026, 1, 1, 3, tzinfo=UTC)
MISSED = ["auto-scheduled", skipping_tag(60)]


@pytest.mark.parametrize(
    ("tags", "late", "starts", "skipped"),
    [
        (MISSED, 61, 0, True),
        (MISSED, 60, 0, False),
        (MISSED, 61, 1, False),
        ([skipping_tag(60)], 61, 0, False),
        (["auto-scheduled"], 10_000, 0, False),
    ],
    ids=["too late", "in time", "started again", "by hand", "catches up"],
)
def test_only_missed_scheduled_runs_are_skipped(
    tags: list[str], late: int, starts: int, skipped: bool
) -> None:
    state = missed_state(tags, TIME, TIME + timedelta(seconds=late), starts)
    assert (state is not None) == skipped
    if state is not None:
        assert state.is_cancelled()
        assert state.name == "Missed"
        assert "it would have started 61 s late" in str(state.message)


def scheduled(now: datetime, late: int) -> State[None]:
    return Scheduled(scheduled_time=now + timedelta(seconds=late))


@pytest.mark.usefixtures("connected")
def test_runs_that_were_missed_are_cancelled_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.missed._PAGE", 2)
    times = [(MISSED, -90), (MISSED, -30), (MISSED[:1], -90), (MISSED, -80), (MISSED, 90)]
    now = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        flow = prefect.Flow(lambda: None, name="missed")
        runs = [
            client.create_flow_run(flow, tags=tags, state=scheduled(now, late))
            for tags, late in times
        ]
        cancel_missed(client)
        states = [client.read_flow_run(run.id).state_name for run in runs]
        assert cancel_missed(client) == 0
    assert [state == "Missed" for state in states] == [True, False, False, True, False]
