"""Print classifiers next to their baselines: metrics, intervals and the seed that is kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.display import short
from gpt_core.artifact import REPORT, Artifact
from gpt_core.checkpoints import read_description
from gpt_core.files import read_json

_COLUMNS = {
    "accuracy": "accuracy",
    "f1_positive": "F1 of {positive!r}",
    "f1": "macro F1",
    "auroc": "AUROC",
    "ece": "calibration error",
}
_INTERVALS = ("accuracy", "f1_positive", "f1")
_WIDTH = 130  # characters; a narrower terminal wraps the lines


def print_classifier(console: Console, made: Mapping[str, Artifact], seconds: float) -> None:
    """Print a classifier's metrics next to those of the baselines on the same test part.

    Args:
        console: Where to print.
        made: The artifacts ``classifier`` and ``comparison``.
        seconds: How long the run took.
    """
    classifier, report = made["classifier"], made["comparison"]
    _print(console, f"\nDone in {seconds:.0f} s. On texts that training did not see:", "bold")
    positive = read_description(classifier.directory).positive
    _print_table(console, read_json(report.directory / REPORT)["models"], positive)
    for sentence in sentences(report.metrics()):
        _print(console, f"  {sentence}")
    _print(console, "\nMade:", "bold")
    _print(console, f"  checkpoint     {short(classifier.directory)}")
    _print(console, f"  report         {short(report.directory)}")
    _print(console, "\nNext:", "bold")
    place = short(classifier.directory)
    _print(console, f"  other texts    gptflow predict --checkpoint {place} source=FILE")
    _print(console, f'  look inside    gptflow anatomy --checkpoint {place} "..."')
    _print(console, f"  in a browser   gptflow serve --checkpoint {place}")
    _print(console, "  its mistakes   gptflow up   (then MLflow: mistakes, reliability, confusion)")


def print_classifier_table(console: Console, comparison: Artifact, seconds: float) -> None:
    """Print the table of ``classify-table``, with published accuracies next to ours."""
    rows = read_json(comparison.directory / REPORT)["classifiers"]
    _print(console, f"\nDone in {seconds:.0f} s. On texts that training did not see:", "bold")
    _print_table(console, rows, "the positive label")
    _print(
        console,
        "  published: GPT-2 124M, 300 balanced SMS messages, one seed; not run here",
    )
    _print(console, "\nMade:", "bold")
    _print(console, f"  report         {short(comparison.directory)}")
    _print(console, "\nNext:", "bold")
    _print(console, "  look at plots  gptflow up   (then MLflow)")


def sentences(metrics: Mapping[str, float]) -> list[str]:
    """Sentences on the seeds and on the comparison with the linear model.

    Args:
        metrics: Of a report of ``summarize_classifiers``.
    """
    found = []
    n = int(metrics["seeds"])
    if n > 1:
        found.append(
            f"{n} seeds: mean ± standard deviation [95 % interval]; seed "
            f"{metrics['kept_seed']:.0f} is kept, the best on its validation part"
        )
    if "paired_p" in metrics:
        how = "paired t-test over the seeds" if n > 1 else "McNemar's test"
        p = metrics["paired_p"]
        verdict = "which may be chance" if p >= 0.05 else "which is hardly chance"
        found.append(
            f"F1 {metrics['paired_difference']:+.4f} against the linear model, {verdict} "
            f"(p = {p:.2g}, {how})"
        )
    return found


def _print_table(console: Console, rows: Sequence[Mapping[str, Any]], positive: str | None) -> None:
    """Print a row for each model, without truncating columns."""
    if console.width < _WIDTH:
        console = Console(
            file=console.file, width=_WIDTH, force_terminal=console.is_terminal, highlight=False
        )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("  model", no_wrap=True)
    shown = [name for name in _COLUMNS if any(row.get(name) is not None for row in rows)]
    for name in shown:
        table.add_column(_COLUMNS[name].format(positive=positive), no_wrap=True)
    has_published = any(row.get("published") is not None for row in rows)
    if has_published:
        table.add_column("published accuracy", no_wrap=True)
    for row in rows:
        cells = [f"  {row['model']}", *(cell(row, name) for name in shown)]
        if has_published:
            value = row.get("published")
            cells.append("" if value is None else f"{value:.4f}")
        table.add_row(*cells)
    console.print(table)


def cell(row: Mapping[str, Any], name: str) -> str:
    """A metric with its deviation and interval where it has them.

    Example:
        >>> cell({"f1": 0.95, "f1_sd": 0.01, "f1_low": 0.94, "f1_high": 0.96}, "f1")
        '0.9500 ± 0.0100 [0.940, 0.960]'
        >>> cell({"ece": 0.0123}, "ece"), cell({}, "ece")
        ('0.0123', '')
    """
    if row.get(name) is None:
        return ""
    text = f"{row[name]:.4f}"
    if row.get(f"{name}_sd") is not None:
        text += f" ± {row[f'{name}_sd']:.4f}"
    ends = [row.get(f"{name}_{end}") for end in ("low", "high")]
    if name in _INTERVALS and None not in ends:
        text += f" [{ends[0]:.3f}, {ends[1]:.3f}]"
    return text


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
