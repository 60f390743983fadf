"""Score answers: every answer has a result, in the order in which they are given."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeVar

from gpt_core.config import Scale
from gpt_core.files import Progress
from gpt_core.judging.judge import Judge, Outcome
from gpt_core.judging.prompts import RANGES, Item, score_question

Status = Literal["scored", "empty", "unscored"]
"""``empty`` answers get the lowest score without a call."""

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The score of one answer, or the reason why it has none."""

    value: float | None
    status: Status
    reason: str = ""
    rationale: str = ""
    read_as: str = ""
    """How the reply was read, see ``parsing.Form``."""

    mode: str = ""
    """The form in which the reply was asked for, see ``judge.Mode``."""

    spread: float = 0.0
    """The highest sample minus the lowest."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replied: bool = True


def score_item(judge: Judge, item: Item, scale: Scale) -> Score:
    """Score an answer: the median of its samples; an empty one without a call."""
    if not item.answer.strip():
        lowest = float(RANGES[scale][0])
        return Score(value=lowest, status="empty", reason="the answer is empty")
    question = score_question(item, scale)
    return combine([judge.ask(question, n) for n in range(judge.config.samples)])


def combine(outcomes: Sequence[Outcome]) -> Score:
    """The score of an answer from its samples, of which some may have failed."""
    scored = [each for each in outcomes if each.verdict is not None]
    values = [each.verdict.value for each in scored if each.verdict is not None]
    shown = scored[0] if scored else outcomes[-1]
    verdict = shown.verdict
    return Score(
        value=float(median(values)) if values else None,
        status="scored" if values else "unscored",
        reason="" if values else shown.reason,
        rationale=verdict.rationale if verdict else "",
        read_as=verdict.form if verdict else "",
        mode=shown.mode,
        spread=float(max(values) - min(values)) if values else 0.0,
        calls=sum(each.calls for each in outcomes),
        prompt_tokens=sum(each.prompt_tokens for each in outcomes),
        completion_tokens=sum(each.completion_tokens for each in outcomes),
        replied=all(each.replied for each in outcomes),
    )


def score_items(
    judge: Judge, items: Sequence[Item], scale: Scale, progress: Progress | None = None
) -> list[Score]:
    """Score answers, several at once, and keep their order."""
    return list(run_each(judge, lambda item: score_item(judge, item, scale), items, progress))


def run_each(
    judge: Judge,
    work: Callable[[Work], Result],
    items: Sequence[Work],
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Do the work for each item in ``judge.concurrency`` threads, with the results in order.

    If this is interrupted, the calls under way are ended.
    """
    with ThreadPoolExecutor(judge.config.concurrency, "judge") as executor:
        try:
            for done, result in enumerate(executor.map(work, items), start=1):
                if progress is not None:
                    progress("answers", done, len(items))
                yield result
        except BaseException:
            judge.close()
            executor.shutdown(wait=True, cancel_futures=True)
            raise
