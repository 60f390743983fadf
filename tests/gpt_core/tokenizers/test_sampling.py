"""A sample is chosen by the ids of the documents, and only where there are too many lines."""

from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.config import TokenizerConfig
from gpt_core.text import iter_documents, iter_texts
from gpt_core.tokenizers import (
    UnigramTokenizer,
    describe_training,
    load_tokenizer,
    train_tokenizer,
)
from gpt_core.tokenizers.sampling import N_RANGES, range_of


def test_a_corpus_with_few_lines_is_not_sampled(many_groups: Artifact, tmp_path: Path) -> None:
    config = TokenizerConfig(kind="unigram", vocab_size=300)
    made = train_tokenizer(many_groups, config, tmp_path / "out", part_bytes=9000)
    assert "sampled_documents" not in made.metrics()
    alone = UnigramTokenizer.train(iter_texts(many_groups, "train"), config)
    loaded = load_tokenizer(made.directory)
    assert isinstance(loaded, UnigramTokenizer)
    assert loaded.model == alone.model


def test_a_sample_has_as_many_lines_as_it_may(many_groups: Artifact, tmp_path: Path) -> None:
    config = TokenizerConfig(kind="unigram", vocab_size=300, max_sentences=500)
    made = train_tokenizer(many_groups, config, tmp_path / "out", part_bytes=9000)
    ordered = sorted(iter_documents(many_groups, "train"), key=lambda each: range_of(each.id))
    lines = chosen = 0
    for document in ordered:
        lines += document.text.count("\n") + 1
        if lines > 500:
            break
        chosen += 1
    sampled = made.metrics()["sampled_documents"]
    assert chosen - 5 <= sampled <= chosen, "up to the documents of one range"
    assert {range_of(each.id) // (N_RANGES // 4) for each in ordered} == {0, 1, 2, 3}
    assert describe_training(made.metrics()) == (
        f"was trained on a sample of {sampled:.0f} of 400 documents, seed 1"
    )
