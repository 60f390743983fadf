"""A schedule is checked before anything starts."""

import re

import pytest

from flows.cron import check_cron
from gpt_core.errors import ConfigError


@pytest.mark.parametrize(
    "cron",
    ["0 3 * * *", "*/5 0-6,12 1 jan-mar mon-fri", "0 0 31 1 7", "59 23 29 2 *", "@daily",
     "0 0 * * 5#2"],
)  # fmt: skip
def test_a_schedule_is_accepted_as_prefect_does(cron: str) -> None:
    from prefect.schedules import Cron

    check_cron(cron)
    assert Cron(cron).cron == cron


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("", "wrong number of fields"),
        ("nonsense", "wrong number of fields"),
        ("0 3 * *", "wrong number of fields"),
        ("0 0 3 * * *", "wrong number of fields"),
        ("60 3 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 0 * *", "bad day-of-month"),
        ("0 0 * 13 *", "bad month"),
        ("0 0 * * 8", "bad day-of-week"),
        ("*/0 0 * * *", "bad minute"),
        ("0 0 * * 1,", "bad day-of-week"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 31 11 *", "bad day-of-month"),
    ],
)
def test_a_wrong_schedule_is_one_sentence(cron: str, problem: str) -> None:
    expected = f"--cron must be minute, .* got {re.escape(repr(cron))}: {problem}$"
    with pytest.raises(ConfigError, match=expected):
        check_cron(cron)
