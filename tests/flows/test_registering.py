"""Schedules are shown in words. What is registered is tested in ``test_deploying``."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

from flows.registering import describe_schedule

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "active", "text"),
    [
        (
            CronSchedule(cron="0 3 * * *", timezone="Europe/Rome"),
            True,
            "cron 0 3 * * * Europe/Rome",
        ),
        (
            IntervalSchedule(interval=timedelta(hours=1), anchor_date=ANCHOR),
            False,
            "every 3600 s from 2026-01-01T00:00:00Z UTC, paused",
        ),
        (RRuleSchedule(rrule="FREQ=DAILY"), True, "rrule DTSTART:20200101T000000 FREQ=DAILY UTC"),
    ],
)
def test_a_schedule_is_shown_with_its_times_and_zone(
    schedule: CronSchedule | IntervalSchedule | RRuleSchedule, active: bool, text: str
) -> None:
    entry = DeploymentScheduleCreate(schedule=schedule, active=active)
    assert describe_schedule(entry) == text
