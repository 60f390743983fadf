"""Predictions on the command line: checks before anything starts, and the printed result."""

from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from flows.declarations import Flow
from flows.display import short
from gpt_core.artifact import REPORT, Artifact
from gpt_core.config import RunConfig
from gpt_core.errors import DataError
from gpt_core.files import read_json
from tasks.paths import expand_path
from tasks.reads import Given, Source, find_given_adapter
from tasks.sources import present_local_file

_SHOWN_PROBLEMS = 5


def check_predictions(flow: Flow, config: RunConfig) -> list[str]:
    """Find the columns of the file, and see that the copy can have its name.

    Returns:
        Sentences on columns that are read in place of missing ones.

    Raises:
        CheckpointError: If there is no adapter where one is named, or it belongs to another model.
        DataError: If the file lacks a column, or the copy's name is a folder's or the source's.
    """
    if "predict" not in flow.sections:
        return []
    from gpt_core.models import read_adapter, weights_fingerprint
    from gpt_core.prediction import find_columns

    notices: list[str] = []
    file = present_local_file(Source(config.source, "prediction"))
    adapter, _ = find_given_adapter(config.predict)
    checkpoint = Given(str(config.checkpoint), "checkpoint").read()
    if adapter is not None:
        read_adapter(adapter).require_base(weights_fingerprint(checkpoint))
    if file is not None:
        asked = replace(config.predict, adapter=None if adapter is None else str(adapter))
        notices += find_columns(checkpoint.directory, file, asked).notices
    if config.predict.out is not None:
        out = expand_path(config.predict.out).absolute()
        if out.is_dir():
            raise DataError(f"{out} is a folder: give predict.out the name of a file")
        if file is not None and out.exists() and out.samefile(file):
            raise DataError(f"predict.out is the source itself, {file}: give another file")
    return notices


def print_predictions(
    console: Console, config: RunConfig, report: Artifact, seconds: float
) -> None:
    """Print what a file's predictions come to: labels, rows without one, metrics, speed."""
    content, metrics = read_json(report.directory / REPORT), report.metrics()
    _print(console, f"\nDone in {seconds:.0f} s.", style="bold")
    for line in _facts(metrics):
        _print(console, f"  {line}")
    if content["labels"]:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
        for row in content["labels"]:
            table.add_row(f"  {row['label']}", f"{row['rows']:,}", f"{row['fraction']:.1%}")
        console.print(table)
    for problem in content["problems"][:_SHOWN_PROBLEMS]:
        _print(console, f"  not predicted: {problem}", style="yellow")
    _print(console, "\nMade:", style="bold")
    _print(console, f"  {'predictions':<15}{short(report.directory / 'predictions.parquet')}")
    _print(console, f"  {'as a table':<15}{short(report.directory / 'predictions.csv')}")
    if config.predict.out is not None:
        _print(console, f"  {'copy':<15}{config.predict.out}")


def _facts(metrics: Mapping[str, float]) -> list[str]:
    rows, unreadable = metrics["rows"], metrics["unreadable_rows"]
    facts = [f"{rows:,.0f} rows, {unreadable:,.0f} of them could not be predicted"]
    if "rows_per_second" in metrics:
        facts[0] += f", {metrics['rows_per_second']:,.0f} rows a second"
    if metrics.get("rows_cut"):
        facts.append(
            f"{metrics['rows_cut']:,.0f} texts are longer than the model reads: "
            f"{metrics['tokens_cut']:,.0f} tokens at their ends were not read"
        )
    if "accuracy" in metrics:
        low, high = metrics["accuracy_low"], metrics["accuracy_high"]
        facts.append(
            f"accuracy {metrics['accuracy']:.1%} (95 % {low:.1%} to {high:.1%}), macro F1 "
            f"{metrics['f1']:.3f}, of {metrics['labelled_rows']:,.0f} labelled rows"
        )
    if metrics.get("unknown_labels"):
        facts.append(
            f"{metrics['unknown_labels']:,.0f} rows have labels that the classifier does not know"
        )
    return facts


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
