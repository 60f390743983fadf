"""The summary of a day lists what needs attention first; the databases' test has it for real."""

from datetime import UTC, datetime
from uuid import uuid4

from prefect.client.schemas.objects import FlowRun, State, StateType
from rich.console import Console

from flows import daily
from flows.daily import Row, headline, print_day, to_markdown


def row(state: str, outcome: str = "", seconds: float = 1.0) -> Row:
    started = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
    return Row(uuid4(), "pretrain", "small", state, started, seconds, outcome)


def test_the_headline_counts_bad_states_first() -> None:
    rows = [row("Completed"), row("Failed"), row("Completed"), row("Crashed")]
    assert headline(rows, 24.0) == "4 runs in 24 hours: 1 crashed, 1 failed, 2 completed"
    assert headline([], 0.5) == "0 runs in 0.5 hours"


def test_a_row_has_its_metric_or_its_error() -> None:
    run = FlowRun(flow_id=uuid4(), name="small")
    metrics = {"result/validation_loss": 1.5, "result/test_loss": 1.23456}
    run.state, run.state_name = State(type=StateType.COMPLETED), "Completed"
    assert daily._row(run, "run", metrics).outcome == "test_loss 1.235"
    assert daily._row(run, "run", {"pretrain/tokens": 5.0}).outcome == ""
    message = "https://me:word@host is gone\nmore"
    run.state, run.state_name = State(type=StateType.FAILED, message=message), "Failed"
    assert daily._row(run, "run", metrics).outcome == "https://***@host is gone"


def test_both_forms_have_every_run(capsys: object) -> None:
    rows = [row("Failed", "a | b", 61.0), row("Completed", "loss 1.2")]
    lines = to_markdown(rows).splitlines()
    assert lines[0] == "2 runs in 24 hours: 1 failed, 1 completed"
    assert lines[4] == "| Failed | pretrain | small | 11-26 03:00 | 1 min 1 s | a \\| b |"
    console = Console(width=100, record=True)
    print_day(console, rows)
    text = console.export_text()
    assert text.index("Failed") < text.index("Completed")
    assert "loss 1.2" in text
