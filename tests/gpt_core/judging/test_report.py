"""A report has a row for every answer, whatever the judge does, and costs nothing twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from http_server import free_port
from judge_server import GARBLED, MUTE, ODD, JudgeServer, always, sometimes

from gpt_core.artifact import REPORT, Artifact
from gpt_core.config import JudgeConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import read_json
from gpt_core.judging import JUDGEMENTS, judge_answers, read_answers, report_headline
from gpt_core.text import register_source

LIMITS = {
    "model": "test", "connect_seconds": 2.0, "read_seconds": 5.0, "answer_seconds": 20.0,
    "check_items": 0, "concurrency": 32, "retry_after_seconds": 0.0,
}  # fmt: skip
FAULTS = (*MUTE, *GARBLED, *ODD, "refuse-json_schema")


def answers(folder: Path, n: int, **columns: str) -> Artifact:
    """A registered file of answers, of which every fifth is right and some are empty."""
    names = {"expected": "expected", "answer": "answer", **columns}
    rows = [
        {
            "instruction": f"Question {k}?",
            "input": "" if k % 2 else f"input {k}",
            names["expected"]: f"word{k} fact{k} end{k}",
            names["answer"]: "" if k % 50 == 3 else f"word{k} " + f"fact{k} end{k}" * (k % 5 == 0),
        }
        for k in range(n)
    ]
    file = folder / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return register_source(file, folder / "raw")


def judge(folder: Path, given: Artifact, url: str, **settings: object) -> Artifact:
    config = JudgeConfig(url=url, **(LIMITS | settings))
    return judge_answers([given], config, folder / "report", folder / "replies.sqlite")


def check_faulty_judge(folder: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers against a judge of whose responses 30 % are faulty: none is lost."""
    monkeypatch.setattr("gpt_core.judging.judge._FIRST_WAIT", 0.01)
    given = answers(folder, n)
    server = JudgeServer(choose=sometimes(0.3, FAULTS), drip_seconds=0.05)
    server.generator = random.Random()
    with server.serving():
        report = judge(folder, given, server.url, breaker=50, read_seconds=1.0, answer_seconds=3.0)
        first = server.calls
        rows = pq.read_table(report.directory / JUDGEMENTS).to_pylist()
        assert len(rows) == n
        assert [row["instruction"] for row in rows] == [f"Question {k}?" for k in range(n)]
        for k, row in enumerate(rows):
            if row["status"] == "unscored":
                assert row["score"] is None
                assert row["reason"]
            else:
                expected = 1.0 if k % 50 == 3 else 5.0 if k % 5 == 0 else 2.0
                assert row["score"] == expected, row
        counts = Counter(row["status"] for row in rows)
        assert counts["scored"] > 0.2 * n  # on a quiet machine 0.98; slow replies come too late
        metrics, scores = report.metrics(), read_json(report.directory / REPORT)["scores"]["rubric"]
        assert (metrics["answers"], metrics["scored"]) == (n, n - counts["unscored"])
        assert metrics["calls"] >= first  # of some the server did not hear in time
        assert sum(scores["reasons"].values()) == counts["unscored"]
        lowest = sum(row["score"] or 1.0 for row in rows) / n
        assert scores["lower_bound"] == pytest.approx(lowest)
        assert set(server.modes) == {"ok", *FAULTS}
        server.choose = always("ok")
        again = judge(folder, given, server.url)
        mute = sum(row["status"] == "unscored" for row in rows if "no usable" not in row["reason"])
        assert server.calls - first == mute  # only those without a reply
        assert again.manifest().info["incomplete"] is False
        before = server.calls
        last = judge(folder, given, server.url)
        assert server.calls == before
        assert last.fingerprint == again.fingerprint


def test_no_answer_is_lost_with_a_faulty_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_faulty_judge(tmp_path, 300, monkeypatch)


@pytest.mark.long
@pytest.mark.soak
def test_no_answer_of_ten_thousand_is_lost_with_a_faulty_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_faulty_judge(tmp_path, 10_000, monkeypatch)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from test_report import answers, judge
from gpt_core.artifact import read_artifact
folder = Path(sys.argv[1])
judge(folder, read_artifact(Path(sys.argv[3])), sys.argv[2], concurrency=1)
"""


def test_a_killed_run_loses_at_most_the_call_under_way(tmp_path: Path) -> None:
    given = answers(tmp_path, 60)
    with JudgeServer(slow_seconds=0.02).serving() as server:
        script = (KILLED, str(tmp_path), server.url, str(given.directory))
        support = os.pathsep.join(sys.path)
        process = subprocess.Popen(
            [sys.executable, "-c", *script, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONPATH": support},
        )
        until = time.monotonic() + 60
        while server.calls < 15 and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "report").exists()
        time.sleep(0.1)
        killed = server.calls
        assert 15 <= killed < 58
        judge(tmp_path, given, server.url)
        to_ask = 60 - 2  # of which two are empty
        assert to_ask <= server.calls <= to_ask + 1


def test_a_report_is_marked_until_the_judge_has_replied_to_all(tmp_path: Path) -> None:
    given = answers(tmp_path, 6)
    report = judge(tmp_path, given, f"http://127.0.0.1:{free_port()}/v1", tries=1)
    assert report.manifest().info == {"report": "judgements", "incomplete": True}
    assert "scored 1 of 6" in report_headline(report)  # the empty one
    with JudgeServer().serving() as server:
        assert judge(tmp_path, given, server.url).manifest().info["incomplete"] is False


def test_both_scales_and_columns_of_other_names(tmp_path: Path) -> None:
    given = answers(tmp_path, 6, expected="output", answer="model_response")
    with JudgeServer().serving() as server:
        columns = {"reference_column": "output", "answer_column": "model_response"}
        report = judge(tmp_path, given, server.url, scale="both", check_items=4, **columns)
        with pytest.raises(DataError, match=r"no 'expected'|no column 'expected'"):
            judge(tmp_path, given, server.url)
    rows = pq.read_table(report.directory / JUDGEMENTS).to_pylist()
    assert [row["score"] for row in rows] == [5.0, 2.0, 2.0, 1.0, 2.0, 5.0]
    assert [row["hundred_score"] for row in rows] == [100.0, 33.0, 33.0, 0.0, 33.0, 100.0]
    assert [row["hundred_status"] for row in rows].count("empty") == 1
    assert report.metrics()["hundred_score"] == pytest.approx(299 / 6)
    assert report.metrics()["score"] == pytest.approx(17 / 6)


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "parquet"])
def test_answers_are_read_from_every_format(form: str, tmp_path: Path) -> None:
    import pandas as pd

    rows = pd.DataFrame(
        [{"instruction": "a", "expected": "b", "answer": "c"},
         {"instruction": "d", "expected": "1", "answer": None}]
    )  # fmt: skip
    file = tmp_path / f"answers.{form}"
    if form == "parquet":
        rows.to_parquet(file)
    elif form == "json":
        rows.to_json(file, orient="records")
    else:
        rows.to_csv(file, sep="\t" if form == "tsv" else ",", index=False)
    found = read_answers(register_source(file, tmp_path / "raw"), JudgeConfig())
    assert [(each.instruction, each.input, each.reference, each.answer) for each in found] == [
        ("a", "", "b", "c"), ("d", "", "1", ""),
    ]  # fmt: skip


def test_a_judge_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"judge\.url"):
        judge_answers([], JudgeConfig(), tmp_path / "report", tmp_path / "replies.sqlite")
