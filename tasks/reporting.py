"""Pages in Prefect's UI: metrics, plots, links and progress of stages."""

import base64
import io
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast
from uuid import UUID

import pandas as pd
from httpx import HTTPError
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from gpt_core.artifact import Artifact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SECONDS_BETWEEN_UPDATES = 5.0

_log = logging.getLogger(__name__)


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
    create_table_artifact(
        rows or [{"metric": "files", "value": len(artifact.manifest().files)}],
        key=f"{_key(stage)}-metrics",
        description=f"{artifact.kind} in `{artifact.path}`, [run in MLflow]({link})",
    )


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
    create_markdown_artifact(page, key=f"{_key(name)}-summary", description=name)
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
    create_markdown_artifact("\n".join(lines), key=f"{_key(name)}-table", description=name)


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
        self._stage = stage
        self._id: UUID | None = None
        self._updated = time.monotonic()

    def update(self, done: int, total: int | None) -> None:
        """Show ``done`` of ``total``, at most every few seconds."""
        if not total or time.monotonic() - self._updated < _SECONDS_BETWEEN_UPDATES:
            return
        self._show(100.0 * done / total)
        self._updated = time.monotonic()

    def finish(self) -> None:
        """Show 100 %, if anything was shown."""
        if self._id is not None:
            self._show(100.0)

    def _show(self, percent: float) -> None:
        """Send to Prefect; the stage continues if its server does not answer."""
        try:
            if self._id is None:
                created = create_progress_artifact(percent, key=f"{_key(self._stage)}-progress")
                self._id = cast(UUID, created)  # it is awaited only in asynchronous code
            else:
                update_progress_artifact(self._id, percent)
        except (HTTPError, PrefectException, OSError) as error:
            _log.warning("the progress of %s was not sent to Prefect: %s", self._stage, error)


def _key(name: str) -> str:
    """A name in the characters that Prefect allows in keys."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
