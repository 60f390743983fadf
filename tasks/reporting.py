"""What Prefect's UI shows of a stage: a table of figures, links, progress."""

import base64
import io
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from httpx import HTTPError
from matplotlib.figure import Figure
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from gpt_core.artifact import Artifact

_SECONDS_BETWEEN_UPDATES = 5.0


_log = logging.getLogger(__name__)


def report_stage(stage: str, artifact: Artifact, link: str) -> None:
    """A table with a stage's figures, and where to read on.

    Args:
        stage: The stage's name.
        artifact: What it made.
        link: To its MLflow run.
    """
    rows = [
        {"figure": name, "value": f"{value:,.6g}"} for name, value in artifact.metrics().items()
    ]
    create_table_artifact(
        rows or [{"figure": "files", "value": len(artifact.manifest().files)}],
        key=f"{_key(stage)}-figures",
        description=f"{artifact.kind} in `{artifact.path}`, [run in MLflow]({link})",
    )


def report_run(name: str, figures: Mapping[str, Mapping[str, float]]) -> str:
    """One page about a whole run: every stage's figures.

    Returns:
        The page, in Markdown.
    """
    lines = ["| stage | figure | value |", "|---|---|---:|"]
    lines += [
        f"| {stage} | {figure} | {value:,.6g} |"
        for stage, values in figures.items()
        for figure, value in values.items()
    ]
    page = "\n".join(lines)
    create_markdown_artifact(page, key=f"{_key(name)}-summary", description=name)
    return page


def report_table(
    name: str, rows: Sequence[Mapping[str, Any]], figures: Sequence[Figure], link: str
) -> None:
    """One page with a table and its plots.

    Args:
        name: The page's.
        rows: All with the columns of the first; what is no number is shown as it is.
        figures: The plots, as matplotlib has them.
        link: To the MLflow run.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [
        f"[run in MLflow]({link})\n",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        shown = [_figure(cell) if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append(f"| {' | '.join(shown)} |")
    lines += [f"\n![plot]({_image(figure)})" for figure in figures]
    create_markdown_artifact("\n".join(lines), key=f"{_key(name)}-table", description=name)


def _figure(value: float) -> str:
    """Four digits, and all of those before the point.

    Example:
        >>> _figure(14223.0), _figure(0.02655123)
        ('14,223', '0.02655')
    """
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def _image(figure: Figure) -> str:
    """A plot as an address that holds the picture itself."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


class ProgressBar:
    """A stage's progress in Prefect's UI, made when there is something to show.

    Args:
        stage: The stage's name.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._id: UUID | None = None
        self._updated = time.monotonic()

    def update(self, done: int, total: int | None) -> None:
        """Show how much is done, at most every few seconds."""
        if not total or time.monotonic() - self._updated < _SECONDS_BETWEEN_UPDATES:
            return
        self._show(100.0 * done / total)
        self._updated = time.monotonic()

    def finish(self) -> None:
        """Show that all is done, if anything was shown."""
        if self._id is not None:
            self._show(100.0)

    def _show(self, percent: float) -> None:
        """Tell Prefect; work does not stop because its server does not listen."""
        try:
            if self._id is None:
                created = create_progress_artifact(percent, key=f"{_key(self._stage)}-progress")
                self._id = cast(UUID, created)  # it is awaited only in asynchronous code
            else:
                update_progress_artifact(self._id, percent)
        except (HTTPError, PrefectException, OSError) as error:
            _log.warning("Prefect was not told of the progress of %s: %s", self._stage, error)


def _key(name: str) -> str:
    """A name in the letters that Prefect takes for keys."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
