"""``gptflow promote``: print how a candidate compares with the champion, and what follows."""

from rich.console import Console
from rich.table import Table

from gpt_core.config import RunConfig
from gpt_core.errors import DataError
from tasks.gate import Verdict
from tasks.promotion import named_version, promote, take_back


def promote_version(name: str, config: RunConfig, reason: str | None, console: Console) -> None:
    """Promote a version by the gate, or for a reason.

    Args:
        name: ``NAME`` for its candidate, or ``NAME@VERSION``.
        config: The benchmarks that decide.
        reason: Promote it also if it is worse.
        console: Gets the table of both models' metrics.

    Raises:
        DataError: If it is worse and there is no reason, or the two cannot be compared.
    """
    outcome = promote(named_version(name), config, reason)
    if outcome.verdict is not None and outcome.before is not None:
        versions = outcome.version.version, outcome.before.version
        console.print(comparison_table(outcome.verdict, *versions))
    if not outcome.is_champion:
        raise DataError(
            f"{outcome.sentence}. It stays a candidate; --force --reason TEXT promotes it anyway"
        )
    _print(console, outcome.sentence)
    _print(console, f'gptflow generate --checkpoint models:/{outcome.version.name}@champion "..."')


def roll_back_champion(name: str, console: Console) -> None:
    """Make the champion before the present one the champion again, and print both."""
    before, now = take_back(name)
    _print(console, f"{now.name} version {now.version} is the champion again, was {before.version}")


def comparison_table(verdict: Verdict, candidate: int, champion: int) -> Table:
    """A row for each metric of both models, with the better one marked."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("measured on")
    table.add_column("metric")
    for title in (f"candidate {candidate}", f"champion {champion}", ""):
        table.add_column(title, justify="right")
    for row in verdict.rows:
        mark = "better" if row.gain > 0 else "equal" if row.gain == 0 else "worse"
        decides = f"{mark}, decides" if row in verdict.deciding else mark
        values = f"{row.candidate:.5g}", f"{row.champion:.5g}"
        table.add_row(row.test, row.metric, *values, decides)
    return table


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
