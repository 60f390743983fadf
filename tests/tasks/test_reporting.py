"""Pages are published in Prefect: tables, plots, and progress that never stops a stage."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from httpx import ConnectError
from matplotlib.figure import Figure

from gpt_core.artifact import new_artifact
from tasks import reporting
from tasks.reporting import ProgressBar, report_run, report_stage, report_table


class Published:
    """Receives what would be sent to Prefect."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.pages: list[tuple[str, object]] = []
        self.percents: list[float] = []
        for name in ("create_markdown_artifact", "create_table_artifact"):
            patch.setattr(reporting, name, self.page)
        patch.setattr(reporting, "create_progress_artifact", self.percent)
        patch.setattr(
            reporting, "update_progress_artifact", lambda _, percent: self.percent(percent)
        )

    def page(self, content: object, key: str, description: str) -> None:
        self.pages.append((key, content))

    def percent(self, percent: float, key: str = "") -> str:
        self.percents.append(percent)
        return "id"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
    return Published(monkeypatch)


def test_a_table_has_a_row_for_each_thing_and_its_plots(published: Published) -> None:
    rows = pd.DataFrame([{"tokenizer": "byte", "loss": 2.123456}, {"tokenizer": "bpe"}])
    report_table("My tokenizers", rows, [Figure()], "http://link")
    [(key, page)] = published.pages
    assert key == "my-tokenizers-table"
    lines = str(page).splitlines()
    assert lines[0] == "[run in MLflow](http://link)"
    assert lines[2:6] == [
        "| tokenizer | loss |", "|---|---|", "| byte | 2.123 |", "| bpe |  |"
    ]  # fmt: skip
    assert lines[-1].startswith("![plot](data:image/png;base64,")


def test_a_run_is_one_page_of_all_metrics(published: Published) -> None:
    page = report_run("tiny", {"report": {"loss": 2.5}, "classifier": {"accuracy": 0.75}})
    assert page.splitlines()[2:] == ["| report | loss | 2.5 |", "| classifier | accuracy | 0.75 |"]
    assert published.pages == [("tiny-summary", page)]


def test_a_stage_without_metrics_shows_how_many_files_it_made(
    published: Published, tmp_path: Path
) -> None:
    with new_artifact(tmp_path / "made", kind="release") as draft:
        (draft.directory / "one").touch()
    report_stage("export_huggingface", draft.artifact, "http://link")
    assert published.pages == [("export-huggingface-metrics", [{"metric": "files", "value": 1}])]


def test_progress_is_shown_every_few_seconds_and_finished_if_it_began(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(reporting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    bar, silent = ProgressBar("pretrain"), ProgressBar("encode_corpus")
    for now[0], done in ((1.0, 10), (6.0, 20), (7.0, 30), (12.0, 40)):
        bar.update(done, 100)
        silent.update(done, None)
    for each in (bar, silent):
        each.finish()
    assert published.percents == [20.0, 40.0, 100.0]


def test_a_stage_continues_while_prefect_does_not_answer(
    published: Published, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(percent: float, key: str) -> None:
        raise ConnectError("no answer")

    monkeypatch.setattr(reporting, "create_progress_artifact", refuse)
    monkeypatch.setattr(reporting, "_SECONDS_BETWEEN_UPDATES", 0.0)
    with caplog.at_level(logging.WARNING):
        ProgressBar("pretrain").update(1, 2)
    assert "the progress of pretrain was not sent to Prefect" in caplog.text
