"""Summaries of scores: means that say of how many, and what the missing ones could change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpt_core.config import JudgeConfig, Scale
from gpt_core.judging.checking import MIN_AUC, JudgeCheck
from gpt_core.judging.comparing import WinRate
from gpt_core.judging.judge import Totals
from gpt_core.judging.prompts import RANGES, Item
from gpt_core.judging.scoring import Score
from gpt_core.judging.statistics import bootstrap_interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The scores on one scale."""

    answers: int
    scored: int
    """Answers with a score, empty ones included."""

    empty: int
    mean: float | None
    """Mean of the scores; None without any."""

    low: float | None
    """The lower end of the mean's 95 % interval."""

    high: float | None
    lower_bound: float
    """The mean if every answer without a score had the lowest one."""

    spread: float
    """Mean difference between the highest and the lowest sample of an answer."""

    reasons: Mapping[str, int]
    """How many answers have no score for each reason."""

    auc: float | None
    """The judge's AUC in its check."""

    checked: bool
    reliable: bool
    """Whether the judge passed its check, so that the mean can be reported."""


def summarize(
    items: Sequence[Item],
    scores: Mapping[Scale, Sequence[Score]],
    check: JudgeCheck,
    config: JudgeConfig,
) -> dict[Scale, Summary]:
    """Summarize the scores of each scale.

    Args:
        items: The answers.
        scores: Their scores, by scale.
        check: The check of the judge.
        config: The seed of the intervals.
    """
    return {
        scale: _summarize(each, scale, check, config.seed) for scale, each in scores.items()
    }  # fmt: skip


def _summarize(scores: Sequence[Score], scale: Scale, check: JudgeCheck, seed: int) -> Summary:
    values = [score.value for score in scores if score.value is not None]
    lowest = float(RANGES[scale][0])
    missing = len(scores) - len(values)
    low, high = bootstrap_interval(values, seed) if values else (None, None)
    reasons: dict[str, int] = {}
    for score in scores:
        if score.value is None:
            reasons[score.reason] = reasons.get(score.reason, 0) + 1
    return Summary(
        answers=len(scores),
        scored=len(values),
        empty=sum(score.status == "empty" for score in scores),
        mean=sum(values) / len(values) if values else None,
        low=low,
        high=high,
        lower_bound=(sum(values) + missing * lowest) / len(scores) if scores else lowest,
        spread=sum(score.spread for score in scores) / len(scores) if scores else 0.0,
        reasons=dict(sorted(reasons.items(), key=lambda pair: -pair[1])),
        auc=check.auc,
        checked=check.scored > 0,
        reliable=check.passed,
    )


def metrics_of(
    summary: Mapping[Scale, Summary], compared: WinRate | None, totals: Totals
) -> dict[str, float]:
    """The metrics of a report; the means of a judge that failed its check are left out."""
    metrics: dict[str, float | None] = {}
    for place, (scale, each) in enumerate(summary.items()):
        prefix = f"{scale}_" if place else ""
        metrics |= {f"{prefix}scored": each.scored, f"{prefix}answers": each.answers}
        if not place:
            metrics |= {"judge_auc": each.auc, "judge_reliable": float(each.reliable)}
        if each.reliable:
            bounds = {"score_low": each.low, "score_high": each.high}
            metrics |= {f"{prefix}score": each.mean, f"{prefix}lower_bound": each.lower_bound}
            metrics |= {f"{prefix}{name}": value for name, value in bounds.items()}
            metrics[f"{prefix}spread"] = each.spread
        if compared is not None and each.reliable and not place:
            metrics |= _comparison_metrics(compared)
    metrics |= {
        "calls": totals.calls,
        "cached_replies": totals.cached,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "judge_seconds": totals.call_seconds,
    }
    return {name: float(value) for name, value in metrics.items() if value is not None}


def _comparison_metrics(compared: WinRate) -> dict[str, float]:
    return {
        "pairs": compared.pairs,
        "compared": compared.compared,
        "win_rate": compared.rate,
        "win_rate_low": compared.low,
        "win_rate_high": compared.high,
        "win_rate_length_controlled": compared.length_controlled,
        "pairs_consistent": compared.consistency,
        "length_difference": compared.length_difference,
    }


def headline(summary: Summary, scale: Scale, judge: str) -> str:
    """One sentence that can be quoted: the mean with what it stands on, or why there is none."""
    count = f"scored {summary.scored} of {summary.answers}"
    if not summary.scored:
        return f"{judge}: {count}, no score can be reported"
    if not summary.checked:
        return f"{judge} was not checked, so no score is reported; {count}"
    if not summary.reliable:
        return (
            f"{judge} cannot tell right from wrong (AUC {summary.auc:.2f}, {MIN_AUC:.2f} is "
            f"needed), so no score is reported; {count}"
        )
    high = RANGES[scale][1]
    return (
        f"{judge}: {summary.mean:.2f} of {high} (95 % {summary.low:.2f} to {summary.high:.2f}), "
        f"{count}, at least {summary.lower_bound:.2f} if the others had the lowest score"
    )
