"""The summary of a day: every run with its state, duration and most telling metric, failures first.

``gptflow summary`` prints it and keeps it in Prefect as the artifact ``gptflow-summary``, whose
page has the earlier ones.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.declarations import FLOWS
from gpt_core.redaction import redact
from tasks.publishing import publisher
from tasks.tracking import in_order, metrics_since

KEY = "gptflow-summary"
"""The key of the artifact in Prefect."""

HOURS = 24

_PAGE = 200  # the server's limit
_FLUSH_SECONDS = 30.0
_BAD = ("Crashed", "Failed", "Late", "Running", "Cancelled")
"""The states that are listed first, in this order."""

_STATES = {"Completed": "green", "Crashed": "red", "Failed": "red"}
_SHOWN_MESSAGE = 120


@dataclass(frozen=True, slots=True)
class Row:
    """A run of the day."""

    id: UUID
    flow: str
    name: str
    state: str
    started: datetime | None
    seconds: float
    outcome: str
    """The most telling metric, or the message of the state if the run did not complete."""


def read_day(hours: float = HOURS) -> list[Row]:
    """The runs of the last hours, those first that need attention.

    Args:
        hours: How far back; runs that are still expected later are left out.
    """
    end = datetime.now(UTC)
    begin = end - timedelta(hours=hours)
    metrics = metrics_since(begin)
    with get_client(sync_client=True) as client:
        found = _flow_runs(client, begin, end)
        names = {each: client.read_flow(each).name for each in {run.flow_id for run in found}}
    rows = [_row(run, names[run.flow_id], metrics.get(str(run.id), {})) for run in found]
    return sorted(rows, key=lambda row: _BAD.index(row.state) if row.state in _BAD else len(_BAD))


def to_markdown(rows: Sequence[Row], hours: float = HOURS) -> str:
    """The page that Prefect shows."""
    lines = [
        f"{headline(rows, hours)}",
        "",
        "| state | flow | run | started (UTC) | duration | result |",
        "|---|---|---|---|---:|---|",
    ]
    for row in rows:
        cells = (row.state, row.flow, row.name, *_times(row), row.outcome.replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def headline(rows: Sequence[Row], hours: float) -> str:
    """One line: how many runs there were, and in which states."""
    counts = Counter(row.state for row in rows)
    ordered = [*(state for state in _BAD if state in counts), *sorted(counts.keys() - {*_BAD})]
    states = ", ".join(f"{counts[state]} {state.lower()}" for state in ordered)
    return f"{len(rows)} runs in {hours:g} hours" + (f": {states}" if states else "")


def publish_day(rows: Sequence[Row], hours: float = HOURS) -> bool:
    """Keep the page in Prefect; whether its server took it."""
    publisher().publish(KEY, KEY, "markdown", to_markdown(rows, hours), headline(rows, hours))
    return publisher().flush(_FLUSH_SECONDS)


def print_day(console: Console, rows: Sequence[Row], hours: float = HOURS) -> None:
    """Print the summary as a table."""
    console.print(headline(rows, hours), highlight=False)
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("state", "flow", "run", "started (UTC)", "duration", "result"):
        table.add_column(name, justify="right" if name == "duration" else "left")
    for row in rows:
        state = Text(row.state, style=_STATES.get(row.state, "yellow"))
        table.add_row(state, *map(Text, (row.flow, row.name, *_times(row), row.outcome)))
    console.print(table)


def _flow_runs(client: SyncPrefectClient, begin: datetime, end: datetime) -> list[FlowRun]:
    """The runs of gptflow's flows that were to start in a span of time."""
    when = FlowRunFilterExpectedStartTime.model_validate({"after_": begin, "before_": end})
    found: list[FlowRun] = []
    while True:
        page = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
            flow_run_filter=FlowRunFilter(expected_start_time=when),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=_PAGE,
            offset=len(found),
        )
        found += page
        if len(page) < _PAGE:
            return found


def _row(run: FlowRun, flow_name: str, metrics: Mapping[str, float]) -> Row:
    state = run.state_name or "Unknown"
    message = (run.state.message or "") if run.state is not None else ""
    outcome = _metric(metrics) if state == "Completed" else redact(message).partition("\n")[0]
    return Row(
        id=run.id,
        flow=flow_name,
        name=run.name,
        state=state,
        started=run.start_time,
        seconds=run.total_run_time.total_seconds(),
        outcome=outcome[:_SHOWN_MESSAGE],
    )


def _metric(metrics: Mapping[str, float]) -> str:
    """The most telling metric, such as ``test_loss 0.381``."""
    first = next(iter(in_order(set(metrics))), "")
    name = first.removeprefix("result/")
    return f"{name} {metrics[first]:.4g}" if name != first else ""


def _times(row: Row) -> tuple[str, str]:
    started = f"{row.started:%m-%d %H:%M}" if row.started else ""
    minutes, seconds = divmod(round(row.seconds), 60)
    return started, f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
