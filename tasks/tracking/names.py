"""The names of a flow's metrics: MLflow sorts them, so that what matters comes first.

A flow run has its loss curves as ``loss/...``, the metrics that runs are compared by as
``result/...``, and all others as ``stage/STAGE/...``.
"""

from collections.abc import Mapping

CURVES = {"train/loss": "loss/train", "validation/loss": "loss/validation"}
"""The metrics of pretraining that a flow run has step by step, with their names there."""

_RESULTS = {
    ("evaluate_language_model", "loss"): "result/test_loss",
    ("pretrain", "validation_loss"): "result/validation_loss",
    ("evaluate_language_model", "perplexity"): "result/perplexity",
    ("evaluate_language_model", "bits_per_byte"): "result/bits_per_byte",
    ("finetune_classifier", "test_accuracy"): "result/accuracy",
    ("finetune_classifier", "test_f1"): "result/f1",
    ("summarize_classifiers", "f1_positive"): "result/f1_positive",
    ("summarize_classifiers", "accuracy"): "result/accuracy",
    ("summarize_classifiers", "f1"): "result/f1",
    ("summarize_classifiers", "linear_accuracy"): "result/linear_accuracy",
    ("summarize_classifiers", "linear_f1"): "result/linear_f1",
    ("summarize_classifiers", "linear_f1_positive"): "result/linear_f1_positive",
    ("finetune_instructions", "exact_match"): "result/exact_match",
    ("finetune_instructions", "rouge_l"): "result/rouge_l",
    ("judge_answers", "score"): "result/judge_score",
    ("judge_answers", "win_rate"): "result/win_rate",
    ("finetune_preferences", "test_reward_accuracy"): "result/reward_accuracy",
    ("finetune_preferences", "test_reward_margin"): "result/reward_margin",
}
RESULTS = tuple(dict.fromkeys(_RESULTS.values()))
"""The metrics that runs are compared by, the most important first."""

_BEFORE = {f"{stage}/{name}": key for (stage, name), key in _RESULTS.items()}
_GROUPS = ("loss/", "result/", "stage/")


def metric_name(stage: str, name: str) -> str:
    """The name of a stage's metric in its flow's run.

    Example:
        >>> metric_name("finetune_classifier", "test_f1"), metric_name("clean_corpus", "read")
        ('result/f1', 'stage/clean_corpus/read')
    """
    return _RESULTS.get((stage, name), f"stage/{stage}/{name}")


def by_present_names(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a flow run, those of earlier versions by the names they have now.

    Args:
        metrics: Of a run of a flow; a run of a stage has names of its own.

    Example:
        >>> by_present_names({"pretrain/validation_loss": 2.5, "clean_corpus/read": 9.0})
        {'result/validation_loss': 2.5, 'stage/clean_corpus/read': 9.0}
    """
    return {
        name if name.startswith(_GROUPS) else _BEFORE.get(name, f"stage/{name}"): value
        for name, value in metrics.items()
    }


def in_order(names: set[str]) -> list[str]:
    """Names of metrics as they are shown: the metrics that matter first, the others by name."""
    return [*(name for name in RESULTS if name in names), *sorted(names - set(RESULTS))]
