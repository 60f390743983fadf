"""A report: figures and tables as an artifact."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.files import write_json

REPORT = "report.json"


def write_report(
    out_dir: Path,
    metrics: Mapping[str, float],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    config: object,
    parents: Sequence[Artifact],
) -> Artifact:
    """Write figures and tables as ``report.json``.

    Args:
        out_dir: Where the report goes.
        metrics: Figures by name.
        tables: Rows by the table's name.
        config: What the report was asked to measure.
        parents: What was measured.
    """
    with new_artifact(out_dir, kind="report", config=config, parents=parents) as draft:
        draft.metrics |= metrics
        content = {"metrics": dict(metrics), **{name: list(rows) for name, rows in tables.items()}}
        write_json(draft.directory / REPORT, content)
    return draft.artifact
