"""Reports on disk, and reports on several subjects merged into one."""

from pathlib import Path

from gpt_core.artifact import Artifact, verify
from gpt_core.config import ComparisonConfig, EvaluationConfig
from gpt_core.evaluation import REPORT, compare_reports, write_report
from gpt_core.files import read_json


def test_a_report_holds_metrics_and_tables(tmp_path: Path) -> None:
    table = [{"prompt": "", "text": "سلام"}]
    report = write_report(
        tmp_path / "report",
        {"loss": 1.5},
        {"samples": table},
        config=EvaluationConfig(),
        parents=[],
    )
    verify(report)
    assert report.kind == "report"
    assert report.metrics() == {"loss": 1.5}
    content = read_json(report.directory / REPORT)
    assert content == {"metrics": {"loss": 1.5}, "samples": table}


def test_merged_reports_have_a_row_per_report_and_name_the_subject_in_every_table(
    tmp_path: Path,
) -> None:
    def report(name: str, value: float) -> Artifact:
        return write_report(
            tmp_path / name,
            {"loss": value},
            {"ranks": [{"rank": 1, "count": int(value)}]},
            config=ComparisonConfig(tokenizers=(name,)),
            parents=[],
        )

    reports = [report("byte", 2.0), report("word", 1.0)]
    merged = compare_reports(reports, "tokenizers", tmp_path / "merged", column="of")
    content = read_json(merged.directory / REPORT)
    assert content["tokenizers"] == [{"of": "byte", "loss": 2.0}, {"of": "word", "loss": 1.0}]
    assert content["ranks"] == [
        {"of": "byte", "rank": 1, "count": 2}, {"of": "word", "rank": 1, "count": 1}
    ]  # fmt: skip
    assert merged.metrics() == {"tokenizers": 2.0}
