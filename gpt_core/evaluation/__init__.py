"""Measures: of models' predictions, answers and classes; of tokenizers' cuts."""

from gpt_core.evaluation.answers import exact_match, longest_common_subsequence, rouge_l
from gpt_core.evaluation.classification import classification_metrics
from gpt_core.evaluation.language_model import (
    evaluate_language_model,
    token_loss,
)
from gpt_core.evaluation.report import REPORT, write_report
from gpt_core.evaluation.tokenization import compare_tokenizers, measure_tokenizer, whole_words

__all__ = [
    "REPORT",
    "classification_metrics",
    "compare_tokenizers",
    "evaluate_language_model",
    "exact_match",
    "longest_common_subsequence",
    "measure_tokenizer",
    "rouge_l",
    "token_loss",
    "whole_words",
    "write_report",
]
