"""Check a schedule before anything starts; Prefect is what reads it later."""

import re

from gpt_core.errors import ConfigError

_NAMED = {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_ITEM = re.compile(r"(\*|\d{1,2}|[a-z]{1,3})(-(\d{1,2}|[a-z]{3}))?(/[1-9]\d?)?(#[1-5])?", re.A)
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # months of fewer than 31 days


def check_cron(cron: str) -> None:
    """Check that a schedule has five fields with values in their ranges and names a day.

    Raises:
        ConfigError: Naming the field that is wrong.

    Example:
        >>> check_cron("0 3 * * *")
    """
    fields = cron.lower().split()
    if len(fields) == 1 and fields[0] in _NAMED:
        return
    if len(fields) != len(_FIELDS):
        raise ConfigError(
            f"--cron must be minute, hour, day, month and weekday, such as '0 3 * * *', got "
            f"{cron!r:.100}"
        )
    for text, (name, lowest, highest) in zip(fields, _FIELDS, strict=True):
        for item in text.split(","):
            numbers = [int(number) for number in re.findall(r"\d+", item.partition("/")[0])]
            in_range = all(lowest <= number <= highest for number in numbers)
            if not _ITEM.fullmatch(item) or not in_range:
                raise ConfigError(
                    f"--cron has {item!r:.40} as {name}, which must be *, or {lowest} to "
                    f"{highest}, or several of them, as in '0 3 * * 1-5'"
                )
    day, month = fields[2], fields[3]
    if day.isdecimal() and month.isdecimal() and int(day) > _LONGEST.get(int(month), 31):
        raise ConfigError(f"--cron names day {day} of month {month}, which never comes")
