"""Pages are published in Prefect: tables, plots and progress."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib.figure import Figure
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Artifact

from gpt_core.artifact import new_artifact
from tasks import reporting
from tasks.publishing import publisher
from tasks.reporting import ProgressBar, report_run, report_stage, report_table


def published(key: str) -> Artifact:
    """The page of a key, when Prefect has everything."""
    assert publisher().flush(60.0)
    with get_client(sync_client=True) as client:
        (page,) = [page for page in client.read_artifacts() if page.key == key]
    return page


@pytest.mark.usefixtures("prefect_home")
def test_a_table_has_a_row_for_each_thing_and_its_plots() -> None:
    rows = pd.DataFrame([{"tokenizer": "byte", "loss": 2.123456}, {"tokenizer": "bpe"}])
    report_table("My tokenizers", rows, [Figure()], "http://link")
    page = published("my-tokenizers-table")
    assert (page.type, page.description) == ("markdown", "My tokenizers")
    lines = str(page.data).splitlines()
    assert lines[0] == "[run in MLflow](http://link)"
    assert lines[2:6] == [
        "| tokenizer | loss |", "|---|---|", "| byte | 2.123 |", "| bpe |  |"
    ]  # fmt: skip
    assert lines[-1].startswith("![plot](data:image/png;base64,")


@pytest.mark.usefixtures("prefect_home")
def test_a_run_is_one_page_of_all_metrics() -> None:
    page = report_run("tiny", {"report": {"loss": 2.5}, "classifier": {"accuracy": 0.75}})
    assert page.splitlines()[2:] == ["| report | loss | 2.5 |", "| classifier | accuracy | 0.75 |"]
    assert published("tiny-summary").data == page


@pytest.mark.usefixtures("prefect_home")
def test_a_stage_without_metrics_shows_how_many_files_it_made(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "made", kind="release") as draft:
        (draft.directory / "one").touch()
    report_stage("export_huggingface", draft.artifact, "http://link")
    page = published("export-huggingface-metrics")
    assert json.loads(str(page.data)) == [{"metric": "files", "value": "1"}]
    assert "[run in MLflow](http://link)" in str(page.description)


@pytest.mark.usefixtures("prefect_home")
def test_progress_is_shown_every_few_seconds_and_finished_if_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(reporting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    bar, silent = ProgressBar("pretrain"), ProgressBar("encode_corpus")
    silent.finish()
    bar.update(10, None)
    for now[0], done, shown in (
        (1.0, 10, None),
        (6.0, 20, 20.0),
        (7.0, 30, 20.0),
        (12.0, 40, 40.0),
    ):
        bar.update(done, 100)
        if shown:
            assert published("pretrain-progress").data == shown
    bar.finish()
    assert published("pretrain-progress").data == 100.0
    with get_client(sync_client=True) as client:
        assert "encode-corpus-progress" not in {page.key for page in client.read_artifacts()}
