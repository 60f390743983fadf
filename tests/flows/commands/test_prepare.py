"""Raw text becomes token shards in three stages."""

from collections.abc import Callable

Planned = Callable[..., list[str]]
PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def test_text_is_cleaned_tokenized_and_encoded(planned: Planned) -> None:
    assert planned("prepare") == PREPARING


def test_a_given_checkpoint_does_not_matter(planned: Planned, checkpoint: str) -> None:
    assert planned("prepare", f"checkpoint={checkpoint}") == PREPARING
