"""The report of a judge: a row for every answer, a summary, and the check of the judge itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import REPORT, Artifact, new_artifact, to_json_value
from gpt_core.config import JudgeConfig, Scale
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress, read_json, write_json
from gpt_core.judging.answers import match_answers, read_answers
from gpt_core.judging.cache import ReplyCache
from gpt_core.judging.checking import NOT_CHECKED, JudgeCheck, check_judge
from gpt_core.judging.comparing import Comparison, WinRate, compare_pair, win_rate
from gpt_core.judging.judge import Judge
from gpt_core.judging.prompts import RANGES, Item
from gpt_core.judging.scoring import Score, run_each, score_items
from gpt_core.judging.summary import Summary, headline, metrics_of, summarize

JUDGEMENTS = "judgements.parquet"
"""The file of a report with a row for each answer."""

KIND = "judgements"
"""The value of ``info["report"]`` in such a report."""

_SCORE = pa.schema(
    [
        ("score", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("rationale", pa.string()),
        ("read_as", pa.string()),
        ("mode", pa.string()),
        ("spread", pa.float64()),
        ("calls", pa.int64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
    ]
)
_ITEM = pa.schema([(each.name, pa.string()) for each in fields(Item)])
_PAIR = pa.schema(
    [
        ("other_answer", pa.string()),
        ("preference", pa.float64()),
        ("consistent", pa.bool_()),
        ("preference_reason", pa.string()),
        ("preference_rationale", pa.string()),
        ("length_difference", pa.int64()),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgements:
    """Everything that a judge said about some answers."""

    items: Sequence[Item]
    scores: Mapping[Scale, Sequence[Score]]
    others: Sequence[str | None] = ()
    """The other answers that they were compared with."""

    comparisons: Sequence[Comparison] = ()
    check: JudgeCheck = NOT_CHECKED

    @property
    def incomplete(self) -> bool:
        """Whether the judge gave no reply for some, so that asking again may help."""
        replied = [score.replied for scores in self.scores.values() for score in scores]
        return not all((*replied, *(each.replied for each in self.comparisons)))


def judge_answers(
    answers: Sequence[Artifact],
    config: JudgeConfig,
    out_dir: Path,
    replies: Path,
    *,
    key: str | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Have a model score answers; each has a row with its score or with the reason it has none.

    Args:
        answers: A checkpoint or registered file with answers, and perhaps another one whose answers
            to the same instructions they are compared with.
        config: The judge, the scale and the limits.
        out_dir: Directory of the report.
        replies: The file that keeps the judge's replies between runs.
        key: The key of the judge's address.
        progress: Receives ``answers``.

    Returns:
        A report artifact. It is marked ``incomplete`` if the judge gave no reply to some.

    Raises:
        ConfigError: If no judge is named.
        DataError: If answers cannot be read.
    """
    if config.url is None:
        raise ConfigError("judge.url must be the address of a judge")
    items, *rest = (read_answers(artifact, config) for artifact in answers)
    with ReplyCache(replies) as cache:
        judge = Judge(config, cache, key)
        said = judge_items(judge, items, rest[0] if rest else None, progress)
    summary = summarize(said.items, said.scores, said.check, config)
    compared = win_rate(said.comparisons, config.seed)
    with new_artifact(out_dir, kind="report", config=config, parents=list(answers)) as draft:
        draft.info |= {"report": KIND, "incomplete": said.incomplete}
        draft.metrics |= metrics_of(summary, compared, judge.totals)
        pq.write_table(table_of(said), draft.directory / JUDGEMENTS)
        content = _content(said, summary, compared, judge.stopped, config)
        write_json(draft.directory / REPORT, content)
    return draft.artifact


def report_headline(report: Artifact) -> str:
    """The sentences of a report that can be quoted, one for each scale."""
    content = read_json(report.directory / REPORT)
    lines = []
    for scale, values in content["scores"].items():
        known = {each.name: values[each.name] for each in fields(Summary)}
        lines.append(headline(Summary(**known), scale, content["judge"]))
    return "; ".join(dict.fromkeys(lines))


def require_scores(report: Artifact) -> None:
    """Require that the judge scored an answer; an empty one has its score without the judge.

    Raises:
        DataError: If the judge was asked about answers and scored none of them.
    """
    content, metrics = read_json(report.directory / REPORT), report.metrics()
    empty = next(iter(content["scores"].values()))["empty"]
    if metrics["answers"] > empty and metrics["scored"] == empty:
        reasons = [why for each in content["scores"].values() for why in each["reasons"]]
        raise DataError(
            f"the judge {content['judge']} scored none of {metrics['answers'] - empty:.0f} answers "
            f"({reasons[0]}): {report.directory / JUDGEMENTS} has the reason of each; when it "
            "answers, the same command asks again"
        )


def judge_items(
    judge: Judge,
    items: Sequence[Item],
    others: Sequence[Item] | None = None,
    progress: Progress | None = None,
) -> Judgements:
    """Check the judge, then have it score and compare.

    Args:
        judge: The judge.
        items: The answers.
        others: Other answers to the same instructions, to compare with.
        progress: Receives ``answers``.
    """
    config, check = judge.config, NOT_CHECKED
    if config.check_items:
        check = check_judge(judge, items, config.scales[0], progress)
    scores = {scale: score_items(judge, items, scale, progress) for scale in config.scales}
    if others is None:
        return Judgements(items=items, scores=scores, check=check)
    matched = match_answers(items, others)

    def compare(pair: tuple[Item, str | None]) -> Comparison:
        if pair[1] is None:
            return Comparison(preference=None, reason="there is no other answer to it")
        return compare_pair(judge, pair[0], pair[1])

    pairs = list(zip(items, matched, strict=True))
    comparisons = list(run_each(judge, compare, pairs, progress))
    return Judgements(
        items=items, scores=scores, others=matched, comparisons=comparisons, check=check
    )


def table_of(said: Judgements) -> pa.Table:
    """A row for each answer; the columns of a second scale begin with its name."""
    columns = {name: [getattr(item, name) for item in said.items] for name in _ITEM.names}
    schema = list(_ITEM)
    for place, (scale, scores) in enumerate(said.scores.items()):
        prefix = f"{scale}_" if place else ""
        for field in _SCORE:
            name = "value" if field.name == "score" else field.name
            columns[prefix + field.name] = [getattr(score, name) for score in scores]
            schema.append(field.with_name(prefix + field.name))
    if said.comparisons:
        schema += list(_PAIR)
        columns["other_answer"] = list(said.others)
        for name in _PAIR.names[1:]:
            source = name.removeprefix("preference_")
            columns[name] = [getattr(each, source) for each in said.comparisons]
    return pa.table(columns, schema=pa.schema(schema))


def _content(
    said: Judgements,
    summary: Mapping[Scale, Summary],
    compared: WinRate | None,
    stopped: str,
    config: JudgeConfig,
) -> dict[str, object]:
    """The report as JSON values; of a judge that failed its check the means are marked."""
    return {
        "judge": config.model,
        "reliable": said.check.passed,
        "scores": {
            scale: {**_plain(each), "range": list(RANGES[scale])} for scale, each in summary.items()
        },
        "comparison": _plain(compared) if compared is not None else None,
        "counts": _counts(said, config),
        "check": _plain(replace(said.check, auc_by_kind=dict(said.check.auc_by_kind))),
        "stopped": stopped,
    }


def _counts(said: Judgements, config: JudgeConfig) -> dict[str, int]:
    """How many answers have which score on the first scale; from 0 to 100 in tens."""
    scale = config.scales[0]
    low, high = RANGES[scale]
    width = 1 if scale == "rubric" else 10
    values = [score.value for score in said.scores[scale]]
    counts = {}
    for start in range(high, low - 1, -width):
        name = str(start) if width == 1 or start == high else f"{start}-{start + width - 1}"
        counts[name] = sum(v is not None and start <= v < start + width for v in values)
    return {**counts, "no score": values.count(None)}


def _plain(value: object) -> dict[str, object]:
    found = to_json_value(value)
    assert isinstance(found, dict)
    return found
