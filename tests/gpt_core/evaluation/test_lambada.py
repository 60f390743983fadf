"""LAMBADA: its last word is the only choice."""

import json
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.evaluation import read_lambada
from gpt_core.evaluation.lambada import lambada_metrics
from gpt_core.evaluation.zero_shot import Question, Score
from gpt_core.tokenizers import ByteTokenizer

QUESTION = Question((1,), ((1,),), 0, "")


def jsonl(file: Path, *rows: object) -> Path:
    file.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return file


@pytest.mark.parametrize("end", ["", "\n", " "])
def test_the_choice_is_the_last_word_with_its_space(tmp_path: Path, end: str) -> None:
    file = jsonl(tmp_path / "l.jsonl", {"text": f"He said\n\nno more{end}"}, {"text": "two words"})
    first, second = read_lambada(file, ByteTokenizer())
    assert bytes(first.context) == b"He said\n\nno"
    assert [bytes(choice) for choice in first.choices] == [b" more"]
    assert first.gold == 0
    assert first.text == "He said\n\nno"
    assert bytes(second.context) == b"two"


def test_accuracy_is_of_greedy_words_and_perplexity_per_word() -> None:
    scores = [[Score(-1.0, 2, True)], [Score(-3.0, 1, False)], [Score(-5.0, 3, False)]]
    metrics = lambada_metrics([QUESTION] * 3, scores)
    assert metrics["lambada_accuracy"] == pytest.approx(1 / 3)
    assert metrics["lambada_perplexity"] == pytest.approx(2.718281828**3)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"txt": "a b"}, "line 2: 'text' must be a passage"),
        ({"text": "word"}, "line 2: 'text' must be a passage"),
        ({"text": 3}, "line 2: 'text' must be a passage"),
        (["a"], "line 2 is not a JSON object"),
    ],
)
def test_a_line_in_another_format_is_named(tmp_path: Path, row: object, sentence: str) -> None:
    file = jsonl(tmp_path / "file.jsonl", {"text": "a passage"}, row)
    with pytest.raises(DataError, match=sentence):
        read_lambada(file, ByteTokenizer())
