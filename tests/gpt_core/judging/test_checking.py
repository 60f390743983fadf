"""The check of a judge: good, blind, biased and mute ones differ in it."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from judge_server import JudgeServer, always

from gpt_core.judging import Item, Judge, check_judge

MakeJudge = Callable[..., Judge]
ITEMS = [
    Item(instruction=f"Question {n}?", input="", reference=f"word{n} fact{n}", answer="whatever")
    for n in range(12)
]


def check(
    make_judge: MakeJudge,
    server: JudgeServer,
    items: Sequence[Item] = ITEMS,
    **settings: object,
) -> Any:
    with server.serving():
        return check_judge(make_judge(server.url, check_items=10, **settings), items, "rubric")


def test_a_judge_that_grades_by_the_reference_passes(make_judge: MakeJudge) -> None:
    server = JudgeServer()
    found = check(make_judge, server)
    assert found.passed
    assert (found.auc, found.gap, found.order_consistency) == (1.0, 4.0, 1.0)
    assert (found.questions, found.scored, found.answers) == (10, 40, 40)
    assert server.calls == found.calls == 6 * 10


def test_a_judge_that_guesses_fails(make_judge: MakeJudge) -> None:
    generator = random.Random(3)
    found = check(make_judge, JudgeServer(grade=lambda *_: generator.random()))
    assert not found.passed
    assert 0.2 < found.auc < 0.8


def test_a_judge_that_only_notices_empty_answers_fails(make_judge: MakeJudge) -> None:
    found = check(make_judge, JudgeServer(grade=lambda _, answer: float(bool(answer.strip()))))
    assert not found.passed
    assert found.auc_by_kind == {"empty": 1.0, "swapped": 0.5, "echoed": 0.5}
    assert found.auc == pytest.approx(2 / 3)


def test_a_judge_that_prefers_the_first_place_is_not_consistent(make_judge: MakeJudge) -> None:
    ranks = iter(range(10_000, 0, -1))
    found = check(make_judge, JudgeServer(grade=lambda *_: next(ranks) / 10_000))
    assert found.order_consistency == 0.0


def test_a_judge_that_says_nothing_useful_has_the_auc_of_a_guess(make_judge: MakeJudge) -> None:
    found = check(make_judge, JudgeServer(choose=always("no-score")), reasks=0)
    assert (found.auc, found.scored, found.passed, found.gap) == (0.5, 0, False, None)
    assert found.order_consistency in (None, 1.0)


def test_without_two_different_references_there_is_no_check(make_judge: MakeJudge) -> None:
    same = [Item(instruction=f"{n}?", input="", reference=" Yes", answer="") for n in range(5)]
    server = JudgeServer()
    for items in (same, ITEMS[:1], []):
        found = check(make_judge, server, items)
        assert (found.questions, found.auc, found.passed) == (0, None, False)
    assert server.calls == 0
