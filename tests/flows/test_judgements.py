"""The printed result of a judge says what its scores stand on, and shows none of a bad judge."""

import io
from pathlib import Path

from judge_server import JudgeServer, always
from rich.console import Console

from flows.judgements import print_judgements
from gpt_core.artifact import Artifact
from gpt_core.config import JudgeConfig
from gpt_core.judging import judge_answers
from gpt_core.text import register_source


def judged(tmp_path: Path, server: JudgeServer, **settings: object) -> Artifact:
    file = tmp_path / "answers.csv"
    lines = [f"Question {n}?,word{n} fact{n},word{n} fact{n}" for n in range(8)]
    file.write_text("\n".join(["instruction,expected,answer", *lines]))
    limits = {"read_seconds": 1.0, "answer_seconds": 2.0, "breaker": 2, "tries": 1}
    config = JudgeConfig(url=server.url, model="some-judge", **(limits | settings))
    raw = register_source(file, tmp_path / "raw")
    return judge_answers([raw], config, tmp_path / "report", tmp_path / "replies.sqlite")


def printed(report: Artifact) -> str:
    out = io.StringIO()
    print_judgements(Console(file=out, width=200), report, 3.0)
    return out.getvalue()


def test_a_good_judge_has_its_scores_printed(tmp_path: Path) -> None:
    with JudgeServer().serving() as server:
        text = printed(judged(tmp_path, server))
    assert "some-judge: 5.00 of 5 (95 % 5.00 to 5.00), scored 8 of 8, at least 5.00" in text
    assert "AUC 1.00 (right against empty 1.00, swapped 1.00, echoed 1.00)" in text
    assert "right ones score +4.00 higher, 100% of pairs alike in both orders" in text
    assert "judgements.parquet" in text


def test_a_judge_that_cannot_tell_right_from_wrong_has_none(tmp_path: Path) -> None:
    with JudgeServer(grade=lambda reference, answer: 0.5).serving() as server:
        report = judged(tmp_path, server)
    text = printed(report)
    assert "some-judge cannot tell right from wrong (AUC 0.50, 0.90 is needed)" in text
    assert "scored 8 of 8" in text
    assert " of 5 (" not in text
    assert not {"score", "lower_bound"} & report.metrics().keys()
    assert report.metrics()["judge_reliable"] == 0.0


def test_a_judge_that_ends_early_says_why_and_how_to_continue(tmp_path: Path) -> None:
    with JudgeServer(choose=always("broken")).serving() as server:
        text = printed(judged(tmp_path, server, check_items=0))
    assert "stopped early: the judge gave no reply to 2 answers in a row (HTTP 500" in text
    assert "6 answers: not asked: the judge gave no reply to 2 answers in a row" in text
    assert "the same command asks for those without a reply" in text
    assert "scored 0 of 8, no score can be reported" in text
