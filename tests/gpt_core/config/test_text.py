"""Invalid settings of reading, cleaning and tokenizers are refused before anything starts."""

from typing import Any

import pytest

from gpt_core.config import FIXED_VOCAB_SIZES, CleaningConfig, ReadingConfig, TokenizerConfig
from gpt_core.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "byte"}, "vocab_size must be none for a byte tokenizer, which has 257 tokens"),
        ({"kind": "gpt2", "vocab_size": 50_000}, "must be none for a gpt2 tokenizer, which has 50"),
        ({"kind": "unigram", "vocab_size": 260}, "at least 261 for a unigram tokenizer"),
        ({"kind": "sentencepiece-bpe", "vocab_size": None}, "a number for a sentencepiece-bpe"),
        ({"kind": "bpe", "vocab_size": 256}, "at least 257 for a bpe tokenizer"),
        ({"kind": "bpe", "vocab_size": None}, "must be a number for a bpe tokenizer, got none"),
        ({"kind": "word", "vocab_size": 2}, "at least 3 for a word tokenizer"),
        ({"character_coverage": 0}, r"character_coverage must be in \(0, 1\], got 0"),
        ({"shrinking_factor": 1}, r"shrinking_factor must be in \(0, 1\), got 1"),
        ({"shrinking_factor": 0}, r"shrinking_factor must be in \(0, 1\), got 0"),
        ({"em_steps": 0}, "em_steps must be at least 1, got 0"),
        ({"max_piece_length": 0}, "max_piece_length must be at least 1, got 0"),
        ({"max_sentences": 0}, "max_sentences must be at least 1, got 0"),
        ({"seed_pieces": 0}, "seed_pieces must be at least 1, got 0"),
    ],
)
def test_an_invalid_tokenizer_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TokenizerConfig(**settings)


@pytest.mark.parametrize("kind", ["character", "codepoint", "word", "byte", "gpt2"])
def test_the_vocabulary_size_may_be_left_to_the_kind(kind: Any) -> None:
    assert TokenizerConfig(kind=kind, vocab_size=None).vocab_size is None


@pytest.mark.parametrize(
    ("kind", "smallest"),
    [("unigram", 261), ("sentencepiece-bpe", 261), ("bpe", 257), ("codepoint", 3), ("word", 3)],
)
def test_the_smallest_and_the_fixed_sizes_are_accepted(kind: Any, smallest: int) -> None:
    assert TokenizerConfig(kind=kind, vocab_size=smallest).vocab_size == smallest
    assert TokenizerConfig(character_coverage=1.0).character_coverage == 1.0
    for fixed, size in FIXED_VOCAB_SIZES.items():
        assert TokenizerConfig(kind=fixed, vocab_size=size).vocab_size == size  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"min_characters": 0}, "min_characters must be at least 1, got 0"),
        ({"validation_share": 1.0}, r"validation_share must be in \[0, 1\), got 1.0"),
        ({"test_share": -0.1}, r"test_share must be in \[0, 1\), got -0.1"),
        ({"validation_share": 0.5, "test_share": 0.5}, "must leave text to train on, got 1.0"),
    ],
)
def test_an_invalid_split_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        CleaningConfig(**settings)


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "undefined", "", "\0"])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(ConfigError, match="encoding must be one that Python knows, such as utf-8"):
        ReadingConfig(encoding=encoding)
    assert ReadingConfig(encoding="latin-1").encoding == "latin-1"
