"""A classifier is fine-tuned from a model, which is made first if none is given."""

from collections.abc import Callable

Planned = Callable[..., list[str]]
PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def test_a_missing_model_is_pretrained_first(planned: Planned) -> None:
    assert planned("classify") == [
        *PREPARING,
        "pretrain",
        "fit_baselines",
        "finetune_classifier",
        "summarize_classifiers",
    ]


def test_a_given_model_needs_no_text(planned: Planned, checkpoint: str) -> None:
    assert planned("classify", f"checkpoint={checkpoint}") == [
        "fit_baselines",
        "finetune_classifier",
        "summarize_classifiers",
    ]


def test_each_seed_is_a_stage_of_its_own(planned: Planned, checkpoint: str) -> None:
    seeds = ["fit_baselines", "finetune_classifier"] * 3
    settings = [f"checkpoint={checkpoint}", "classification.seeds=3"]
    assert planned("classify", *settings) == [*seeds, "summarize_classifiers"]
