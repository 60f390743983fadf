"""Answers are judged by a server on this machine: planned, refused, and in a run of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from judge_server import JudgeServer

if TYPE_CHECKING:
    from collections.abc import Iterable

Planned = Callable[..., list[str]]
KEY = "very-s3cret-key-of-the-judge"
SERVER = ("judge.url=http://127.0.0.1:9/v1", "judge.model=test")
CALLS = 6 * 6 + 11 + 2 * 7 - 4
"""Calls of the check, of the answers but the empty one, and of the pairs but five of equal answers;
four answers are references that the check has asked about."""

PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def write_answers(file: Path, rows: "Iterable[tuple[str, str, str]]") -> Path:
    """A file of answers: instruction, reference and answer."""
    names = ("instruction", "expected", "answer")
    file.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    return file


def questions(answer: Callable[[int], str]) -> list[tuple[str, str, str]]:
    return [(f"Question {n}?", f"word{n} fact{n} end{n}", answer(n)) for n in range(12)]


def test_an_address_of_a_judge_adds_a_stage_to_the_fine_tune(
    planned: Planned, checkpoint: str, tmp_path: Path
) -> None:
    made = [*PREPARING, "pretrain", "finetune_instructions"]
    assert planned("instruct", *SERVER) == [*made, "judge_answers"]
    file = write_answers(tmp_path / "answers.jsonl", questions(str))
    assert planned("judge", *SERVER, f"judge.answers={file}") == ["judge_answers"]
    assert planned("judge", *SERVER, f"checkpoint={checkpoint}", f"judge.against={file}") == [
        "judge_answers"
    ]


def test_what_cannot_be_judged_is_one_sentence(cli: Any, checkpoint: str, tmp_path: Path) -> None:
    good = write_answers(tmp_path / "good.jsonl", questions(str))
    empty = tmp_path / "empty.csv"
    empty.write_text("instruction,expected,answer\n")
    other = tmp_path / "other.csv"
    other.write_text("instruction,output,response\na,b,c\n")
    blank = write_answers(tmp_path / "blank.jsonl", [(" ", "a", "b")])
    answers = ["judge", *SERVER, "--answers"]
    mistakes = [
        (["judge"], "judge.url must be the address"),
        (["judge", SERVER[0]], "judge.model|model must name"),
        (["judge", *SERVER], "--checkpoint DIR .* or --answers FILE"),
        (["judge", *SERVER, "--answers", str(good), "--checkpoint", "x"], "either --checkpoint"),
        ([*answers, str(tmp_path / "none.csv")], "neither a file"),
        ([*answers, str(empty)], "has no answers to judge|is empty"),
        ([*answers, str(other)], "no column 'expected'.*judge.reference_column"),
        ([*answers, str(blank)], "line 1: the instruction is blank"),
        ([*answers, str(tmp_path)], "is a folder"),
        (["judge", *SERVER, "--checkpoint", checkpoint], "answers.parquet|config.json"),
        (["judge", "judge.url=http://me:pw@host/v1", "judge.model=a"], "without a password"),
    ]
    assert cli.answers_other_than(mistakes) == []


def test_answers_are_judged_once_recorded_and_the_key_is_kept_nowhere(
    cli: Any, tmp_path: Path
) -> None:
    """A good judge, the same run again, and a dead judge."""
    file = write_answers(
        tmp_path / "answers.jsonl",
        questions(lambda n: "" if n == 0 else f"word{n} fact{n} end{n}" if n % 2 else "wrong"),
    )
    worse = write_answers(tmp_path / "worse.jsonl", questions(lambda n: "wrong"))
    limits = ("judge.check_items=6", "judge.tries=1", "judge.answer_seconds=2", "judge.breaker=2")
    answers = ("judge", "--answers", str(file), *limits)
    with JudgeServer().serving() as server:
        named = (f"judge.url={server.url}", "judge.model=good", f"judge.against={worse}")
        good = (*answers, *named, "judge.traces=3")
        dead = (*answers, "judge.url=http://127.0.0.1:9/v1", "judge.model=dead", "judge.traces=0")
        first, again, silent = cli.run_several([good, good, dead], [{"GPTFLOW_JUDGE_KEY": KEY}] * 3)
    assert first.code == again.code == 0, first.err + again.err
    assert "good: 3.00 of 5" in first.out
    assert "scored 12 of 12, at least 3.00" in first.out
    assert "AUC 1.00 (right against empty 1.00, swapped 1.00, echoed 1.00)" in first.out
    assert "preferred      75%" in first.out  # six wins and six ties
    assert "no traces" not in first.out
    assert server.calls == CALLS  # and nothing for the second run
    assert "the judge dead scored none of 11 answers" in silent.user_error()
    check_records(cli)
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    for each in cli.home.rglob("*"):
        if each.is_file():
            assert KEY.encode() not in each.read_bytes(), each
    assert KEY not in first.out + first.err + silent.out + silent.err


def check_records(cli: Any) -> None:
    """Compare what MLflow has of the good judge."""
    client = cli.mlflow_client()
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.stage = 'judge_answers' and params.model = 'good'")
    (good,) = runs
    metrics = good.data.metrics
    assert {name: metrics[name] for name in ("score", "scored", "answers", "win_rate")} == {
        "score": 3.0, "scored": 12.0, "answers": 12.0, "win_rate": 0.75,
    }  # fmt: skip
    assert metrics["calls"] == CALLS
    assert metrics["prompt_tokens"] == 100 * metrics["calls"]
    assert "judge/mean" not in metrics  # which would be of three answers
    found = client.search_traces(
        locations=experiments, filter_string=f"attributes.run_id = '{good.info.run_id}'"
    )
    assert len(found) == 3
    for trace in found:
        names = {each.name: each for each in trace.info.assessments}
        source = names["judge"].source
        assert (source.source_type, source.source_id) == ("LLM_JUDGE", "good")
        assert names["judge"].feedback.value in (1.0, 5.0)
        assert names["expected_response"].expectation.value.startswith("word")
    table = client.download_artifacts(good.info.run_id, "judgements.json")
    assert len(pd.read_json(table, orient="split")) == 12
