"""A model is tuned on pairs of answers, made first if none is given."""

from collections.abc import Callable

Planned = Callable[..., list[str]]
PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def test_a_missing_model_is_pretrained_first(planned: Planned) -> None:
    assert planned("prefer") == [*PREPARING, "pretrain", "finetune_preferences"]


def test_a_given_model_needs_no_text(planned: Planned, checkpoint: str) -> None:
    assert planned("prefer", f"checkpoint={checkpoint}") == ["finetune_preferences"]
