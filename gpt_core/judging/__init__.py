"""Judging: a model behind an address scores answers, and none of them is lost."""

from gpt_core.judging.answers import ANSWERS, match_answers, read_answer_file, read_answers
from gpt_core.judging.cache import ReplyCache
from gpt_core.judging.checking import MIN_AUC, JudgeCheck, check_judge
from gpt_core.judging.comparing import Comparison, WinRate, compare_pair, win_rate
from gpt_core.judging.judge import Judge, Outcome
from gpt_core.judging.parsing import UnreadableError, Verdict, parse_choice, parse_score
from gpt_core.judging.prompts import RANGES, Item, comparison_question, score_question
from gpt_core.judging.report import (
    JUDGEMENTS,
    KIND,
    Judgements,
    judge_answers,
    judge_items,
    report_headline,
    require_scores,
    table_of,
)
from gpt_core.judging.scoring import Score, score_item, score_items
from gpt_core.judging.statistics import auc, bootstrap_interval, length_controlled_win_rate
from gpt_core.judging.summary import Summary, headline, summarize

__all__ = [
    "ANSWERS",
    "JUDGEMENTS",
    "KIND",
    "MIN_AUC",
    "RANGES",
    "Comparison",
    "Item",
    "Judge",
    "JudgeCheck",
    "Judgements",
    "Outcome",
    "ReplyCache",
    "Score",
    "Summary",
    "UnreadableError",
    "Verdict",
    "WinRate",
    "auc",
    "bootstrap_interval",
    "check_judge",
    "compare_pair",
    "comparison_question",
    "headline",
    "judge_answers",
    "judge_items",
    "length_controlled_win_rate",
    "match_answers",
    "parse_choice",
    "parse_score",
    "read_answer_file",
    "read_answers",
    "report_headline",
    "require_scores",
    "score_item",
    "score_items",
    "score_question",
    "summarize",
    "table_of",
    "win_rate",
]
