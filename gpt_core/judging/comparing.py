"""Compare answers in pairs, in both orders, because judges prefer a place."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpt_core.judging.judge import Judge
from gpt_core.judging.prompts import Item, comparison_question
from gpt_core.judging.statistics import bootstrap_interval, length_controlled_win_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The comparison of an answer with another one."""

    preference: float | None
    """1 if it is preferred, 0 if the other one is, 0.5 for a tie; None without a result."""

    consistent: bool = False
    """Whether both orders led to the same preference."""

    reason: str = ""
    rationale: str = ""
    length_difference: int = 0
    """Characters of the answer minus those of the other one."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replied: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class WinRate:
    """How often answers are preferred to others; a tie counts half."""

    pairs: int
    compared: int
    """Pairs with a result."""

    rate: float
    low: float
    """The lower end of the rate's 95 % interval."""

    high: float
    length_controlled: float
    """The rate that is expected if both answers were equally long."""

    consistency: float
    """Fraction of compared pairs with the same preference in both orders."""

    length_difference: float
    """Mean number of characters of the answers minus that of the others."""


def compare_pair(judge: Judge, item: Item, other: str) -> Comparison:
    """Compare an answer with another one in both orders; a preference that turns is a tie.

    Args:
        judge: The judge.
        item: The answer.
        other: The other one.
    """
    length = len(item.answer) - len(other)
    if " ".join(item.answer.split()) == " ".join(other.split()):
        return Comparison(
            preference=0.5, consistent=True, reason="the answers are the same", length_difference=0
        )
    forward = judge.ask(comparison_question(item, item.answer, other))
    backward = judge.ask(comparison_question(item, other, item.answer))
    both = (forward, backward)
    preference, consistent = None, False
    if forward.verdict is not None and backward.verdict is not None:
        consistent = forward.verdict.value == -backward.verdict.value
        preference = (1 + forward.verdict.value) / 2 if consistent else 0.5
    return Comparison(
        preference=preference,
        consistent=consistent,
        reason="; ".join(dict.fromkeys(filter(None, (each.reason for each in both)))),
        rationale=forward.verdict.rationale if forward.verdict else "",
        length_difference=length,
        calls=sum(each.calls for each in both),
        prompt_tokens=sum(each.prompt_tokens for each in both),
        completion_tokens=sum(each.completion_tokens for each in both),
        replied=all(each.replied for each in both),
    )


def win_rate(comparisons: Sequence[Comparison], seed: int) -> WinRate | None:
    """Summarize comparisons; None if no pair has a result.

    Args:
        comparisons: The comparisons.
        seed: Seed of the interval.
    """
    compared = [each for each in comparisons if each.preference is not None]
    if not compared:
        return None
    wins = [each.preference for each in compared if each.preference is not None]
    differences = [float(each.length_difference) for each in compared]
    low, high = bootstrap_interval(wins, seed)
    return WinRate(
        pairs=len(comparisons),
        compared=len(compared),
        rate=sum(wins) / len(wins),
        low=low,
        high=high,
        length_controlled=length_controlled_win_rate(wins, differences),
        consistency=sum(each.consistent for each in compared) / len(compared),
        length_difference=sum(differences) / len(differences),
    )
