"""Counts and samples of a corpus are the same for any parts, and so are the tokenizers."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact
from gpt_core.config import TokenizerConfig
from gpt_core.engine import LocalEngine
from gpt_core.text import iter_texts
from gpt_core.tokenizers import (
    WordTokenizer,
    counting,
    describe_training,
    load_tokenizer,
    train_bpe,
    train_tokenizer,
)


@pytest.mark.parametrize(
    ("kind", "size"), [("bpe", 290), ("word", 20), ("codepoint", None), ("unigram", 300)]
)
def test_a_tokenizer_does_not_depend_on_the_parts(
    many_groups: Artifact, tmp_path: Path, kind: Any, size: int | None
) -> None:
    config = TokenizerConfig(kind=kind, vocab_size=size, max_sentences=300)
    if kind != "unigram":
        config = replace(config, max_sentences=10**6)
    train = partial(train_tokenizer, many_groups, config)
    made = [train(tmp_path / str(size), part_bytes=size) for size in (1, 9000, 30_000)]
    assert len({each.fingerprint for each in made}) == 1
    metrics = made[1].metrics()
    assert metrics["counted_documents"] == 400
    assert list(tmp_path.glob(".*")) == []
    if kind == "unigram":
        assert 50 < metrics["sampled_documents"] < 300
        return
    assert made[0].metrics()["counted_parts"] == 40 > metrics["counted_parts"] > 1
    texts, tokenizer = list(iter_texts(many_groups, "train")), load_tokenizer(made[0].directory)
    alone = (
        train_bpe(texts, 290, "marks") if kind == "bpe" else type(tokenizer).train(texts, size)  # type: ignore[attr-defined]
    )
    assert [alone.token_bytes(i) for i in range(alone.vocab_size)] == [
        tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size)
    ]


def test_the_rarest_pieces_are_left_out_if_there_are_too_many(
    many_groups: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TokenizerConfig(kind="word", vocab_size=None)
    whole = train_tokenizer(many_groups, config, tmp_path / "whole", part_bytes=9000)
    n_words = whole.metrics()["counted_pieces"]
    monkeypatch.setattr(counting, "MAX_PIECES", 10)
    few = train_tokenizer(many_groups, config, tmp_path / "few", part_bytes=9000)
    assert few.metrics()["dropped_pieces"] == n_words - 10
    kept = load_tokenizer(few.directory)
    expected = WordTokenizer.train(iter_texts(many_groups, "train"), 12)
    assert isinstance(kept, WordTokenizer)
    assert kept.units == expected.units
    said = describe_training(few.metrics()) or ""
    assert said.startswith("counted 10 distinct pieces of 400 documents in")
    assert said.endswith("rarest pieces")


@pytest.mark.long
def test_workers_count_what_one_process_counts(many_groups: Artifact, tmp_path: Path) -> None:
    config, calls = TokenizerConfig(kind="bpe", vocab_size=290), []
    train = partial(train_tokenizer, many_groups, config, part_bytes=9000)
    with LocalEngine(2) as engine:
        two = train(tmp_path / "two", engine=engine, progress=lambda *call: calls.append(call))
    assert two.fingerprint == train(tmp_path / "one").fingerprint
    assert ("documents", 400, None) in calls
