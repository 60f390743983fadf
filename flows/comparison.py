"""Print how recorded runs differ: settings, metrics, loss curves, samples side by side."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.display import short
from gpt_core.errors import ConfigError
from gpt_core.files import atomic_write
from tasks.paths import comparison_plot
from tasks.plots import run_curves
from tasks.tracking import RecordedRun, comparison_link, in_order, read_run


def compare_runs(names: Sequence[str], console: Console) -> None:
    """Print the differences of runs, and draw their loss curves into one plot.

    Args:
        names: Two or more run ids, or names of flow runs.
        console: Where to print.

    Raises:
        ConfigError: If there are fewer than two.
        DataError: If there is no such run.
    """
    if len(names) < 2:
        raise ConfigError("give at least two runs to compare: their names or ids in MLflow")
    runs = [read_run(name) for name in names]
    tables = {
        "settings that differ": settings_table(runs),
        "metrics": metrics_table(runs),
        "last samples": samples_table(runs),
    }
    for title, rows in tables.items():
        if len(rows):
            console.print(_table(title, rows))
    curves = {run.name: run.curves for run in runs if len(run.curves)}
    if curves:
        file = _plot(curves)
        console.print(f"loss curves: {short(file)}", markup=False, soft_wrap=True)
    link = comparison_link({run.run_id: run.experiment for run in runs})
    console.print(f"in MLflow: {link}", markup=False, highlight=False, soft_wrap=True)


def settings_table(runs: Sequence[RecordedRun]) -> pd.DataFrame:
    """The settings that are not the same in all runs: a row each, a column for each run."""
    names = sorted({name for run in runs for name in run.params})
    rows = [[name, *(run.params.get(name, "") for run in runs)] for name in names]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    return pd.DataFrame(differing, columns=["setting", *(run.name for run in runs)])


def metrics_table(runs: Sequence[RecordedRun]) -> pd.DataFrame:
    """The last value of every metric: a row each, a column for each run."""
    names = in_order({name for run in runs for name in run.metrics})
    rows = [
        [name, *(f"{run.metrics[name]:,.5g}" if name in run.metrics else "" for run in runs)]
        for name in names
    ]
    return pd.DataFrame(rows, columns=["metric", *(run.name for run in runs)])


def samples_table(runs: Sequence[RecordedRun]) -> pd.DataFrame:
    """The last sample of every prompt: a row each, a column for each run."""
    last = {
        run.name: dict(zip(run.samples["prompt"], run.samples["text"], strict=True))
        for run in runs
        if len(run.samples)
    }
    prompts = list(dict.fromkeys(prompt for texts in last.values() for prompt in texts))
    rows = [
        [prompt, *(last.get(run.name, {}).get(prompt, "") for run in runs)] for prompt in prompts
    ]
    return pd.DataFrame(rows, columns=["prompt", *(run.name for run in runs)])


def _plot(curves: dict[str, pd.DataFrame]) -> Path:
    name = "-".join(name.rpartition(" ")[2] for name in curves)
    file = comparison_plot(name)
    with atomic_write(file) as target:
        run_curves(curves).savefig(target, format="png", dpi=120)
    return file


def _table(title: str, rows: pd.DataFrame) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in rows.columns:
        table.add_column(str(column), overflow="fold")
    for row in rows.itertuples(index=False):
        table.add_row(*(Text(str(cell)) for cell in row))  # no markup in samples
    return table
