"""HellaSwag: four endings, compared by total and by length-normalized log-probability."""

import json
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.evaluation import read_hellaswag
from gpt_core.evaluation.hellaswag import hellaswag_metrics
from gpt_core.evaluation.zero_shot import Question, Score
from gpt_core.tokenizers import ByteTokenizer

QUESTION = Question((1,), ((1,), (1,)), 0, "")
LONG, SHORT = Score(-4.0, 8, False), Score(-3.0, 1, False)  # better per token; better in total


def jsonl(file: Path, row: object) -> Path:
    file.write_text(json.dumps(row), "utf-8")
    return file


def test_both_formats_are_read_alike(tmp_path: Path) -> None:
    ours = jsonl(tmp_path / "a", {"query": "A man", "choices": ["sits.", "runs."], "gold": 1})
    theirs = jsonl(tmp_path / "b", {"ctx": "A man", "endings": ["sits.", "runs."], "label": 1})
    [question] = read_hellaswag(ours, ByteTokenizer())
    assert [question] == read_hellaswag(theirs, ByteTokenizer())
    assert bytes(question.context) == b"A man"
    assert [bytes(choice) for choice in question.choices] == [b" sits.", b" runs."]
    assert question.gold == 1


@pytest.mark.parametrize(
    ("gold", "scores", "accuracy", "normalized"),
    [
        (0, [LONG, SHORT], 0.0, 1.0),
        (1, [LONG, SHORT], 1.0, 0.0),
        (0, [SHORT, LONG], 1.0, 0.0),
        (0, [LONG, LONG], 1.0, 1.0),
        (1, [LONG, LONG], 0.0, 0.0),
    ],
)
def test_accuracy_is_by_total_and_normalized_by_mean_log_probability(
    gold: int, scores: list[Score], accuracy: float, normalized: float
) -> None:
    questions = [Question((1,), ((1,), (1,)), gold, "")]
    assert hellaswag_metrics(questions, [scores]) == {
        "hellaswag_accuracy": accuracy, "hellaswag_normalized": normalized
    }  # fmt: skip


def test_metrics_are_means_over_the_questions() -> None:
    metrics = hellaswag_metrics([QUESTION] * 3, [[LONG, SHORT], [LONG, SHORT], [SHORT, LONG]])
    assert metrics["hellaswag_accuracy"] == pytest.approx(1 / 3)
    assert metrics["hellaswag_normalized"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"ctx": "a", "endings": ["b"]}, "line 1: there is no 'label'"),
        ({"ctx": "a", "label": 0}, "line 1: there is no 'endings'"),
        ({"query": "a", "choices": ["b"]}, "line 1: there is no 'gold'"),
        ({"query": "a", "choices": ["b"], "gold": 1}, "line 1: there is no choice 1"),
        ({"query": "a", "choices": ["b"], "gold": -1}, "line 1: there is no choice -1"),
        (["a"], "line 1 is not a JSON object"),
    ],
)
def test_a_line_in_another_format_is_named(tmp_path: Path, row: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_hellaswag(jsonl(tmp_path / "file.jsonl", row), ByteTokenizer())
