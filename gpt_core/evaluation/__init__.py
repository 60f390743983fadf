"""Measures of models: of their predictions, of their answers, of their classes."""

from gpt_core.evaluation.answers import exact_match, longest_common_subsequence, rouge_l
from gpt_core.evaluation.classification import classification_metrics
from gpt_core.evaluation.language_model import (
    evaluate_language_model,
    token_loss,
)
from gpt_core.evaluation.report import REPORT, write_report

__all__ = [
    "REPORT",
    "classification_metrics",
    "evaluate_language_model",
    "exact_match",
    "longest_common_subsequence",
    "rouge_l",
    "token_loss",
    "write_report",
]
