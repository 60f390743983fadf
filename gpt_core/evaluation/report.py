"""Reports: metrics and tables as an artifact, and several reports merged into one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gpt_core.artifact import REPORT, Artifact, is_timing, new_artifact
from gpt_core.files import read_json, write_json

Rows = list[dict[str, object]]
"""A table: one JSON object per row, with the same keys."""


def write_report(
    out_dir: Path,
    metrics: Mapping[str, float],
    tables: Mapping[str, Sequence[Mapping[str, object]]],
    *,
    config: object,
    parents: Sequence[Artifact],
) -> Artifact:
    """Write metrics and tables as ``report.json``, timings as metrics of the manifest alone.

    Args:
        out_dir: Directory of the report.
        metrics: Values by name.
        tables: Rows by the table's name.
        config: The configuration of the evaluation.
        parents: The evaluated artifacts.
    """
    with new_artifact(out_dir, kind="report", config=config, parents=parents) as draft:
        draft.metrics |= metrics
        lasting = {name: value for name, value in metrics.items() if not is_timing(name)}
        content = {"metrics": lasting, **{name: list(rows) for name, rows in tables.items()}}
        write_json(draft.directory / REPORT, content)
    return draft.artifact


def compare_reports(
    reports: Sequence[Artifact], subject: str, out_dir: Path, *, column: str
) -> Artifact:
    """Merge reports on several subjects into one.

    Args:
        reports: Each names its subject in its configuration.
        subject: The field of the configuration with that name, such as ``tokenizers``; also the
            name of the table of metrics.
        out_dir: Directory of the merged report.
        column: Title of the first column, which holds the subject's name.

    Returns:
        A report artifact: the table ``subject`` with one row of metrics per report, and the
        reports' own tables, concatenated. Timings are metrics named ``SUBJECT/METRIC``.
    """
    tables: dict[str, Rows] = {subject: []}
    metrics = {subject: float(len(reports))}
    for report in reports:
        name = " ".join(report.manifest().config_strings(subject))
        content = read_json(report.directory / REPORT)
        tables[subject].append({column: name, **content.pop("metrics")})
        timings = {k: v for k, v in report.metrics().items() if is_timing(k)}
        metrics |= {f"{name}/{metric}": value for metric, value in timings.items()}
        for table, rows in content.items():
            tables.setdefault(table, []).extend({column: name, **row} for row in rows)
    return write_report(out_dir, metrics, tables, config=subject, parents=reports)


def compare_tokenizers(reports: Sequence[Artifact], out_dir: Path) -> Artifact:
    """Combine reports on tokenizers into one comparison, see ``compare_reports``."""
    return compare_reports(reports, "tokenizers", out_dir, column="tokenizer")


def compare_models(reports: Sequence[Artifact], out_dir: Path) -> Artifact:
    """Combine benchmark reports on checkpoints into one comparison, see ``compare_reports``."""
    return compare_reports(reports, "checkpoints", out_dir, column="checkpoint")
