"""Metrics of language models, classifiers, generated answers and tokenizers, as reports."""

from gpt_core.artifact import REPORT
from gpt_core.evaluation.answers import exact_match, longest_common_subsequence, rouge_l
from gpt_core.evaluation.baselines import fit_baselines, metrics_at_threshold
from gpt_core.evaluation.benchmarks import check_benchmark, run_benchmarks
from gpt_core.evaluation.calibration import (
    apply_temperature,
    calibration_error,
    choose_threshold,
    fit_temperature,
    reliability,
)
from gpt_core.evaluation.classification import (
    ClassifierMetrics,
    classification_metrics,
    confusion_metrics,
    measure_classifier,
)
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
from gpt_core.evaluation.seeds import compare_classifiers, summarize_classifiers
from gpt_core.evaluation.tokenization import count_whole_words, measure_tokenizer
from gpt_core.evaluation.zero_shot import score_choices

__all__ = [
    "REPORT",
    "ClassifierMetrics",
    "apply_temperature",
    "calibration_error",
    "check_benchmark",
    "choose_threshold",
    "classification_metrics",
    "compare_classifiers",
    "compare_models",
    "compare_reports",
    "compare_tokenizers",
    "confusion_metrics",
    "count_whole_words",
    "detokenize_wikitext",
    "evaluate_language_model",
    "exact_match",
    "fit_baselines",
    "fit_temperature",
    "longest_common_subsequence",
    "measure_classifier",
    "measure_tokenizer",
    "metrics_at_threshold",
    "read_hellaswag",
    "read_lambada",
    "reliability",
    "rouge_l",
    "run_benchmarks",
    "score_choices",
    "summarize_classifiers",
    "summed_loss",
    "text_metrics",
    "token_loss",
    "write_report",
]
