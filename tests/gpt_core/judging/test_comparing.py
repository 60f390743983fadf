"""Pairs in both orders: an inconsistent preference is a tie."""

from collections.abc import Callable

import pytest
from judge_server import JudgeServer, always

from gpt_core.judging import Comparison, Item, Judge, compare_pair, win_rate

MakeJudge = Callable[..., Judge]
ITEM = Item(instruction="?", input="", reference="a b c d", answer="a b c d")


def test_the_better_answer_wins_in_both_orders(make_judge: MakeJudge) -> None:
    with JudgeServer().serving() as server:
        judge = make_judge(server.url)
        won = compare_pair(judge, ITEM, "a b")
        lost = compare_pair(judge, Item(instruction="?", input="", reference="a", answer="b"), "a")
    assert (won.preference, won.consistent, won.length_difference) == (1.0, True, 4)
    assert (lost.preference, lost.consistent, lost.calls) == (0.0, True, 2)
    orders = [body["messages"][0]["content"] for body in server.bodies[:2]]
    assert orders[0].index("a b c d\n</answer A>") > 0
    assert orders[1].index("a b c d\n</answer B>") > 0


def test_a_preference_for_a_place_is_a_tie(make_judge: MakeJudge) -> None:
    ranks = iter(range(100, 0, -1))
    with JudgeServer(grade=lambda *_: next(ranks) / 100).serving() as server:
        found = compare_pair(make_judge(server.url), ITEM, "a b")
    assert (found.preference, found.consistent) == (0.5, False)


def test_equal_answers_are_a_tie_without_a_call_and_a_lost_one_has_its_reason(
    make_judge: MakeJudge,
) -> None:
    with JudgeServer(choose=always("broken")).serving() as server:
        judge = make_judge(server.url)
        same = compare_pair(judge, ITEM, " a b  c d")
        assert (same.preference, server.calls) == (0.5, 0)
        lost = compare_pair(judge, ITEM, "a b")
    assert lost.preference is None
    assert lost.reason == "HTTP 500: internal error"
    assert not lost.replied


def test_the_win_rate_counts_ties_half_and_leaves_out_what_has_no_result() -> None:
    pairs = [
        Comparison(preference=1.0, consistent=True, length_difference=10),
        Comparison(preference=0.5, consistent=False, length_difference=-10),
        Comparison(preference=0.0, consistent=True, length_difference=0),
        Comparison(preference=1.0, consistent=True, length_difference=0),
        Comparison(preference=None, reason="lost"),
    ]
    found = win_rate(pairs, seed=1)
    assert found is not None
    assert (found.rate, found.pairs, found.compared, found.consistency) == (0.625, 5, 4, 0.75)
    assert found.low < 0.625 < found.high
    assert found.length_difference == 0.0
    assert 0.0 < found.length_controlled < 1.0
    assert win_rate(pairs[-1:], seed=1) is None
    assert found.rate == pytest.approx(sum([1.0, 0.5, 0.0, 1.0]) / 4)
