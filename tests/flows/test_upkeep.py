"""The commands that keep a home in order answer mistakes in one sentence, and write nothing."""

from typing import Any

MISTAKES = [
    (["clean", "--older-than", "soon"], r"--older-than must be hours, days or weeks, such as 30d"),
    (["clean", "--keep", "-1"], r"--keep.*greater than or equal to 0"),
]


def test_a_mistake_is_one_sentence_and_code_2(cli: Any) -> None:
    assert cli.answers_other_than(MISTAKES) == []
    assert not cli.home.exists()
