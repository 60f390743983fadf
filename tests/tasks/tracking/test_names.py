"""Names of metrics: sorted by name, what matters comes first."""

from tasks.tracking.names import CURVES, RESULTS, by_present_names, in_order, metric_name


def test_curves_and_results_come_before_the_metrics_of_stages() -> None:
    stages = [metric_name("clean_corpus", "read"), metric_name("pretrain", "step")]
    named = [*stages, metric_name("pretrain", "validation_loss"), *CURVES.values()]
    assert sorted(named) == [
        "loss/train", "loss/validation", "result/validation_loss",
        "stage/clean_corpus/read", "stage/pretrain/step",
    ]  # fmt: skip


def test_runs_of_earlier_versions_have_the_present_names() -> None:
    before = {"evaluate_language_model/loss": 1.0, "clean_corpus/read": 9.0, "pretrain/step": 4.0}
    now = {"result/test_loss": 1.0, "stage/clean_corpus/read": 9.0, "stage/pretrain/step": 4.0}
    assert by_present_names(before) == by_present_names(now) == now


def test_the_most_important_results_are_shown_first() -> None:
    names = {"loss/train", "stage/a/b", RESULTS[3], RESULTS[0]}
    assert in_order(names) == [RESULTS[0], RESULTS[3], "loss/train", "stage/a/b"]
