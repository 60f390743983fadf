"""Metrics of language models, classifiers, generated answers and tokenizers, as reports."""

from gpt_core.artifact import REPORT
from gpt_core.evaluation.answers import exact_match, longest_common_subsequence, rouge_l
from gpt_core.evaluation.benchmarks import check_benchmark, run_benchmarks
from gpt_core.evaluation.classification import classification_metrics
from gpt_core.evaluation.hellaswag import read_hellaswag
from gpt_core.evaluation.lambada import read_lambada
from gpt_core.evaluation.language_model import (
    evaluate_language_model,
    summed_loss,
    token_loss,
)
from gpt_core.evaluation.perplexity import detokenize_wikitext, text_metrics
from gpt_core.evaluation.report import (
    compare_models,
    compare_reports,
    compare_tokenizers,
    write_report,
)
from gpt_core.evaluation.tokenization import count_whole_words, measure_tokenizer
from gpt_core.evaluation.zero_shot import score_choices

__all__ = [
    "REPORT",
    "check_benchmark",
    "classification_metrics",
    "compare_models",
    "compare_reports",
    "compare_tokenizers",
    "count_whole_words",
    "detokenize_wikitext",
    "evaluate_language_model",
    "exact_match",
    "longest_common_subsequence",
    "measure_tokenizer",
    "read_hellaswag",
    "read_lambada",
    "rouge_l",
    "run_benchmarks",
    "score_choices",
    "summed_loss",
    "text_metrics",
    "token_loss",
    "write_report",
]
