"""A report on disk."""

from pathlib import Path

from gpt_core.artifact import verify
from gpt_core.config import EvaluationConfig
from gpt_core.evaluation import REPORT, write_report
from gpt_core.files import read_json


def test_a_report_holds_figures_and_tables(tmp_path: Path) -> None:
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
