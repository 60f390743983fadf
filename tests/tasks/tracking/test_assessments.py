"""Judged answers go to MLflow by its own evaluation; an MLflow that is away costs nothing."""

import time
from pathlib import Path
from typing import Any

import pytest
from http_server import free_port

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.judging import Item, Score
from tasks.tracking.assessments import judge_scorer, log_assessments


def assess(score: Score, *, reliable: bool = True) -> Any:
    scorer = judge_scorer(lambda item: score, "a-judge", reliable=reliable)
    return scorer(
        inputs={"instruction": "Name a fruit."}, outputs="apple",
        expectations={"expected_response": "an apple"},
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scorer_gives_the_score_the_reason_and_the_source() -> None:
    good = assess(Score(value=4.0, status="scored", rationale="nearly", read_as="json", calls=1))
    assert (good.value, good.rationale, good.source.source_id) == (4.0, "nearly", "a-judge")
    assert good.source.source_type == "LLM_JUDGE"
    assert good.metadata["read_as"] == "json"
    lost = assess(Score(value=None, status="unscored", reason="HTTP 500"))
    assert lost.value is None
    assert (lost.error.error_code, lost.error.error_message) == ("UNSCORED", "HTTP 500")
    unreliable = assess(Score(value=4.0, status="scored"), reliable=False)
    assert unreliable.value == "4"  # a text, of which no mean is made


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scorer_asks_about_the_row_that_it_gets() -> None:
    seen: list[Item] = []

    def score(item: Item) -> Score:
        seen.append(item)
        return Score(value=1.0, status="scored")

    judge_scorer(score, "a-judge", reliable=True)(
        inputs={"instruction": "Add.", "input": "1 2"}, outputs="3",
        expectations={"expected_response": "3"},
    )  # fmt: skip
    assert seen == [Item(instruction="Add.", input="1 2", reference="3", answer="3")]


def empty_report(tmp_path: Path) -> Artifact:
    with new_artifact(tmp_path / "report", kind="report") as draft:
        draft.metrics["judge_reliable"] = 1.0
    return draft.artifact


def test_a_server_that_is_away_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    report = empty_report(tmp_path)
    assert log_assessments("0" * 32, report, "j", 5) == "the MLflow server does not answer"
    assert log_assessments("0" * 32, report, "j", 0) == ""  # none are wanted
    assert time.monotonic() - started < 5.0
