"""A run that is too late is skipped if its deployment says so. See ``test_scheduled`` too."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from flows.missed import missed_state, skipping_tag, skipping_trigger

TIME = datetime(2026, 1, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tags", "late", "run_count", "skipped"),
    [
        (["auto-scheduled", skipping_tag(60)], 61, 1, True),
        (["auto-scheduled", skipping_tag(60)], 60, 1, False),
        (["auto-scheduled", skipping_tag(60)], 61, 2, False),
        ([skipping_tag(60)], 61, 1, False),
        (["auto-scheduled"], 10_000, 1, False),
    ],
    ids=["too late", "in time", "started again", "by hand", "catches up"],
)
def test_only_missed_scheduled_runs_are_skipped(
    tags: list[str], late: int, run_count: int, skipped: bool
) -> None:
    state = missed_state(tags, TIME, TIME + timedelta(seconds=late), run_count)
    assert (state is not None) == skipped
    if state is not None:
        assert state.is_cancelled()
        assert state.name == "Missed"
        assert "it would have started 61 s late" in str(state.message)


def test_the_automation_cancels_late_runs_of_its_deployment() -> None:
    trigger, identity = skipping_trigger("skip", 60), uuid4()
    trigger.set_deployment_id(identity)
    automation = trigger.as_automation()
    assert automation.owner_resource == f"prefect.deployment.{identity}"
    assert f"prefect.deployment.{identity}" in automation.model_dump_json()
    assert [action.type for action in automation.actions] == ["change-flow-run-state"]
    assert automation.trigger.within == timedelta(seconds=45)
