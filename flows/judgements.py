"""Judged answers on the command line: checks before anything is asked, and the printed result."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from flows.declarations import Flow
from flows.display import short
from gpt_core.artifact import REPORT, Artifact
from gpt_core.config import RunConfig
from gpt_core.errors import DataError
from gpt_core.files import read_json
from tasks.judging import judge_key
from tasks.reads import Given, Source
from tasks.sources import present_local_file

_BAR = 40  # characters of the longest bar
_MAX_REASONS = 5


def check_answers(flow: Flow, config: RunConfig) -> None:
    """Read the answers that are to be judged, so that a wrong file is found before anything starts.

    Raises:
        ConfigError: If the judge's key cannot be sent.
        DataError: If answers cannot be read, or there are none.
    """
    if "judge" not in flow.sections or config.judge.url is None:
        return
    from gpt_core.judging import read_answer_file, read_answers

    judge_key()
    for read in flow.reads(config):
        if isinstance(read, Given):
            found, where = read_answers(read.read(), config.judge), read.directory
        elif isinstance(read, Source) and read.role == "answers":
            file = present_local_file(read)
            if file is None:
                continue
            found, where = read_answer_file(file, config.judge), read.name
        else:
            continue
        if not found:
            raise DataError(f"{where} has no answers to judge")


def print_judgements(console: Console, report: Artifact, seconds: float) -> None:
    """Print the scores of a judge with what they stand on: its check, the reasons, the cost."""
    from gpt_core.judging import JUDGEMENTS, report_headline

    content, metrics = read_json(report.directory / REPORT), report.metrics()
    _print(console, f"\nDone in {seconds:.0f} s.", style="bold")
    _print(console, f"  {report_headline(report)}")
    if content["stopped"]:
        _print(console, f"  stopped early: {content['stopped']}", style="yellow")
    console.print(_scores_table(content))
    for name, text in _facts(content, metrics):
        _print(console, f"  {name:<15}{text}")
    _print(console, "\nMade:", style="bold")
    _print(console, f"  {'report':<15}{short(report.directory)}")
    _print(console, f"  {'every answer':<15}{short(report.directory / JUDGEMENTS)}")
    _print(console, "\nNext:", style="bold")
    again = report.manifest().info.get("incomplete")
    if again:
        _print(console, f"  {'the others':<15}the same command asks for those without a reply")
    _print(console, f"  {'read them':<15}gptflow up   (then MLflow: the run's traces)")


def _scores_table(content: Mapping[str, object]) -> Table:
    """How many answers have which score, and how many have none."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    counts = content["counts"]
    assert isinstance(counts, dict)
    most = max([1, *counts.values()])
    for score, count in counts.items():
        table.add_row(f"  {score}", str(count), "#" * round(_BAR * count / most))
    return table


def _facts(content: Mapping[str, object], metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    check, compared, scores = content["check"], content["comparison"], content["scores"]
    assert isinstance(check, dict)
    assert isinstance(scores, dict)
    facts = []
    if check["scored"]:
        kinds = ", ".join(f"{kind} {auc:.2f}" for kind, auc in check["auc_by_kind"].items())
        facts.append(("the judge", f"AUC {check['auc']:.2f} (right against {kinds})"))
        gap, same = check["gap"], check["order_consistency"]
        words = [] if gap is None else [f"right ones score {gap:+.2f} higher"]
        words += [] if same is None else [f"{same:.0%} of pairs alike in both orders"]
        facts += [("", ", ".join(words))] if words else []
    for summary in scores.values():
        listed = list(summary["reasons"].items())
        facts += [("no score", f"{n} answers: {why}") for why, n in listed[:_MAX_REASONS]]
    if isinstance(compared, dict) and content["reliable"]:
        facts.append(
            (
                "preferred",
                f"{compared['rate']:.0%} (95 % {compared['low']:.0%} to {compared['high']:.0%}), "
                f"{compared['length_controlled']:.0%} at equal length, compared "
                f"{compared['compared']} of {compared['pairs']} pairs",
            )
        )
    tokens = metrics["prompt_tokens"] + metrics["completion_tokens"]
    facts.append(
        (
            "cost",
            f"{metrics['calls']:,.0f} calls, {metrics['cached_replies']:,.0f} replies from before, "
            f"{tokens:,.0f} tokens, {metrics['judge_seconds']:,.1f} s",
        )
    )
    return facts


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
