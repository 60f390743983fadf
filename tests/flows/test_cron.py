"""A schedule is checked before anything starts."""

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
    ("cron", "sentence"),
    [
        ("", "must be minute, hour, day, month and weekday"),
        ("nonsense", "must be minute, hour, day, month and weekday"),
        ("0 3 * *", "must be minute, hour, day, month and weekday"),
        ("60 3 * * *", "has '60' as minute, which must be"),
        ("0 24 * * *", "has '24' as hour"),
        ("0 0 0 * *", "has '0' as day"),
        ("0 0 * 13 *", "has '13' as month"),
        ("0 0 * * 8", "has '8' as weekday"),
        ("*/0 0 * * *", "has '\\*/0' as minute"),
        ("0 0 * * 1,", "has '' as weekday"),
        ("0 0 30 2 *", "names day 30 of month 2, which never comes"),
        ("0 0 31 11 *", "names day 31 of month 11, which never comes"),
    ],
)
def test_a_wrong_schedule_is_one_sentence(cron: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_cron(cron)
