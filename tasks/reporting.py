"""Pages in Prefect's UI: metrics, plots, links and progress of stages."""

import base64
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pandas as pd

from gpt_core.artifact import Artifact
from tasks.publishing import publisher

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SECONDS_BETWEEN_UPDATES = 5.0


def report_stage(stage: str, artifact: Artifact, link: str) -> None:
    """Publish a table with the metrics of a stage's result.

    Args:
        stage: The stage's name.
        artifact: The result.
        link: The address of its MLflow run.
    """
    rows = [
        {"metric": name, "value": f"{value:,.6g}"} for name, value in artifact.metrics().items()
    ]
    rows = rows or [{"metric": "files", "value": str(len(artifact.manifest().files))}]
    description = f"{artifact.kind} in `{artifact.path}`, [run in MLflow]({link})"
    _publish(f"{_key(stage)}-metrics", "table", json.dumps(rows), description)


def report_run(name: str, metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Publish one page with the metrics of all results of a run.

    Args:
        name: The run's name.
        metrics: The metrics by result.

    Returns:
        The page, in Markdown.
    """
    lines = ["| result | metric | value |", "|---|---|---:|"]
    lines += [
        f"| {result} | {metric} | {value:,.6g} |"
        for result, values in metrics.items()
        for metric, value in values.items()
    ]
    page = "\n".join(lines)
    _publish(f"{_key(name)}-summary", "markdown", page, name)
    return page


def report_table(name: str, rows: pd.DataFrame, plots: "Sequence[Figure]", link: str) -> None:
    """Publish one page with a table and its plots.

    Args:
        name: The page's name.
        rows: The table.
        plots: Figures of matplotlib.
        link: The address of the MLflow run.
    """
    lines = [
        f"[run in MLflow]({link})\n",
        f"| {' | '.join(map(str, rows.columns))} |",
        "|---" * len(rows.columns) + "|",
    ]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows.itertuples(index=False)]
    lines += [f"\n![plot]({_data_url(plot)})" for plot in plots]
    _publish(f"{_key(name)}-table", "markdown", "\n".join(lines), name)


def report_link(name: str, file: Path, link: str) -> None:
    """Publish a page that says where a file is, and where MLflow has it.

    Args:
        name: The page's name.
        file: The file.
        link: The address of the MLflow run.
    """
    page = f"[in MLflow]({link}), [as a file]({file.resolve().as_uri()})\n\n`{file}`"
    _publish(f"{_key(name)}-page", "markdown", page, name)


def _publish(key: str, kind: str, data: object, description: str) -> None:
    """Publish a new page, even if there is one of the same key."""
    publisher().publish(f"{key} {uuid4()}", key, kind, data, description)


def _cell(value: object) -> str:
    """A value with four digits, all of those before the point, and thousands separators.

    Example:
        >>> _cell(14223.0), _cell(0.02655123), _cell(float("nan")), _cell("bpe")
        ('14,223', '0.02655', '', 'bpe')
    """
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def _data_url(figure: "Figure") -> str:
    """A plot as an address that holds the picture itself."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


class ProgressBar:
    """A stage's progress in Prefect's UI, created at the first update.

    Args:
        stage: The stage's name.
    """

    def __init__(self, stage: str) -> None:
        self._key = f"{_key(stage)}-progress"
        self._page = f"{self._key} {uuid4()}"
        self._is_shown = False
        self._updated = time.monotonic()

    def update(self, done: int, total: int | None) -> None:
        """Show ``done`` of ``total``, at most every few seconds."""
        if not total or time.monotonic() - self._updated < _SECONDS_BETWEEN_UPDATES:
            return
        self._show(100.0 * done / total)
        self._updated = time.monotonic()

    def finish(self) -> None:
        """Show 100 %, if anything was shown."""
        if self._is_shown:
            self._show(100.0)

    def _show(self, percent: float) -> None:
        self._is_shown = True
        publisher().publish(self._page, self._key, "progress", percent)


def _key(name: str) -> str:
    """A name in the characters that Prefect allows in keys."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
