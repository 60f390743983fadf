"""A tokenizer's settings are refused before anything starts."""

from typing import Any

import pytest

from gpt_core.config import TokenizerConfig
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
        ({"em_steps": 0}, "em_steps must be at least 1, got 0"),
        ({"max_piece_length": 0}, "max_piece_length must be at least 1, got 0"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TokenizerConfig(**settings)


@pytest.mark.parametrize("kind", ["character", "codepoint", "word", "byte", "gpt2"])
def test_a_size_may_be_left_to_the_kind(kind: Any) -> None:
    assert TokenizerConfig(kind=kind, vocab_size=None).vocab_size is None
