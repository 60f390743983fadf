"""An instruction follower is fine-tuned from a model, made first if none is given."""

from collections.abc import Callable

Planned = Callable[..., list[str]]
PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def test_a_missing_model_is_pretrained_first(planned: Planned) -> None:
    assert planned("instruct") == [*PREPARING, "pretrain", "finetune_instructions"]


def test_a_given_model_needs_no_text(planned: Planned, checkpoint: str) -> None:
    assert planned("instruct", f"checkpoint={checkpoint}") == ["finetune_instructions"]
