"""Check the judge before its scores are believed: can it tell right answers from wrong ones?

It scores answers whose worth is known: the reference itself, and as wrong ones no answer, another
question's reference, and the instruction repeated. The AUC is the probability that a right answer
scores higher than a wrong one; a judge that guesses has 0.5.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gpt_core.config import Scale
from gpt_core.files import Progress
from gpt_core.judging.comparing import Comparison, compare_pair
from gpt_core.judging.judge import Judge
from gpt_core.judging.prompts import Item, score_question
from gpt_core.judging.scoring import Score, combine, run_each
from gpt_core.judging.statistics import auc

MIN_AUC = 0.9
"""A judge below this cannot tell right from wrong."""

Kind = Literal["reference", "empty", "swapped", "echoed"]
_WRONG: tuple[Kind, ...] = ("empty", "swapped", "echoed")


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeCheck:
    """How well a judge tells right answers from wrong ones."""

    questions: int
    """Questions that it was checked on; 0 if it was not checked."""

    scored: int
    """Answers of the check that got a score."""

    answers: int
    """The answers of the check."""

    auc: float | None
    auc_by_kind: Mapping[str, float]
    """The AUC against one kind of wrong answers alone."""

    gap: float | None
    """Mean score of the right answers minus that of the wrong ones."""

    order_consistency: float | None
    """Fraction of pairs that it judges alike in both orders."""

    calls: int = 0

    @property
    def passed(self) -> bool:
        """Whether its scores can be reported."""
        return self.auc is not None and self.auc >= MIN_AUC


NOT_CHECKED = JudgeCheck(
    questions=0, scored=0, answers=0, auc=None, auc_by_kind={}, gap=None, order_consistency=None
)


def check_judge(
    judge: Judge, items: Sequence[Item], scale: Scale, progress: Progress | None = None
) -> JudgeCheck:
    """Check a judge on some of the questions that it will judge.

    Args:
        judge: The judge.
        items: The questions with their references.
        scale: The scale of its scores.
        progress: Receives ``answers``.
    """
    chosen = _choose(items, judge.config.check_items, judge.config.seed)
    if not chosen:
        return NOT_CHECKED
    cases: list[tuple[Kind, Item]] = []
    for item, other in chosen:
        texts: dict[Kind, str] = {
            "reference": item.reference,
            "empty": "",
            "swapped": other.reference,
            "echoed": item.question,
        }
        cases += [(kind, replace(item, answer=text)) for kind, text in texts.items()]

    def score(case: tuple[Kind, Item]) -> Score:
        return combine([judge.ask(score_question(case[1], scale))])

    def compare(pair: tuple[Item, Item]) -> Comparison:
        return compare_pair(judge, replace(pair[0], answer=pair[0].reference), pair[1].reference)

    scores = list(run_each(judge, score, cases, progress))
    return _summarize(cases, scores, list(run_each(judge, compare, chosen)))


def _choose(items: Sequence[Item], n: int, seed: int) -> list[tuple[Item, Item]]:
    """Some of the questions, each with another whose reference differs."""
    usable = list({(item.question, item.reference): item for item in items}.values())
    usable = [item for item in usable if item.reference.strip()]
    drawn = random.Random(seed).sample(usable, min(n, len(usable)))
    pairs = []
    for place, item in enumerate(drawn):
        others = [*drawn[place + 1 :], *drawn[:place]]
        different = (each for each in others if _plain(each.reference) != _plain(item.reference))
        other = next(different, None)
        if other is not None:
            pairs.append((item, other))
    return pairs


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _summarize(
    cases: Sequence[tuple[Kind, Item]], scores: Sequence[Score], pairs: Sequence[Comparison]
) -> JudgeCheck:
    values: dict[Kind, list[float | None]] = {
        "reference": [],
        "empty": [],
        "swapped": [],
        "echoed": [],
    }
    for (kind, _), score in zip(cases, scores, strict=True):
        values[kind].append(score.value)
    wrong = [value for kind in _WRONG for value in values[kind]]
    right_scores = [value for value in values["reference"] if value is not None]
    wrong_scores = [value for value in wrong if value is not None]
    gap = None
    if right_scores and wrong_scores:
        gap = sum(right_scores) / len(right_scores) - sum(wrong_scores) / len(wrong_scores)
    complete = [pair for pair in pairs if pair.preference is not None]
    return JudgeCheck(
        questions=len(values["reference"]),
        scored=len(right_scores) + len(wrong_scores),
        answers=len(scores),
        auc=auc(values["reference"], wrong),
        auc_by_kind={kind: auc(values["reference"], values[kind]) for kind in _WRONG},
        gap=gap,
        order_consistency=(
            sum(pair.consistent for pair in complete) / len(complete) if complete else None
        ),
        calls=sum(s.calls for s in scores) + sum(p.calls for p in pairs),
    )
