"""Check a schedule before anything starts, and without Prefect, which takes seconds to import."""

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from gpt_core.errors import ConfigError

_N_FIELDS = 5


def check_cron(cron: str, name: str = "--cron") -> None:
    """Check that a schedule has five fields with values in their ranges and names a day.

    Args:
        cron: The schedule.
        name: What the message calls it.

    Raises:
        ConfigError: Naming the field that is wrong.

    Example:
        >>> check_cron("0 3 * * *")
    """
    if cron.startswith("@"):
        return  # such as @daily, which only Prefect knows
    problem = "wrong number of fields"
    try:
        if len(cron.split()) == _N_FIELDS:
            CronSim(cron, datetime.now(UTC))
            return
    except CronSimError as error:
        problem = str(error).lower()
    raise ConfigError(
        f"{name} must be minute, hour, day, month and weekday, such as '0 3 * * *', got "
        f"{cron!r:.100}: {problem}"
    )
