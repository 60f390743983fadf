"""A split pattern that the engines read differently, or that loses text, is refused at once."""

import pytest

from gpt_core.config import TokenizerConfig, load_config
from gpt_core.config.patterns import NAMED_PATTERNS, require_pattern
from gpt_core.errors import ConfigError
from gpt_core.tokenizers import BPETokenizer, split_pattern
from gpt_core.tokenizers.split_patterns import _named_patterns

LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT_4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize(
    "expression", [LLAMA, GPT_4O, r"\w+", r" ?\p{Arabic}+", r"\S+|\s+", r"\d{3}", r"(?i)abc|\d"]
)
def test_published_and_simple_patterns_are_accepted(expression: str) -> None:
    config = TokenizerConfig(kind="bpe", pattern=expression)
    tokenizer = BPETokenizer([], config.pattern)
    text = "It's 1,234 قُلْ هُوَ abc\n\n x"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert "".join(split_pattern(expression).split(text)) == text


def test_the_named_patterns_are_read_alike() -> None:
    assert tuple(_named_patterns()) == NAMED_PATTERNS
    for pattern in _named_patterns().values():
        require_pattern(pattern.published)
        require_pattern(pattern.fast)
    with pytest.raises(ConfigError):
        require_pattern("")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (r"[[:alpha:]]+|.", "has syntax that engines read differently"),
        (r"[a-z&&[aeiou]]+", "has syntax that engines read differently"),
        (r"\X", "has syntax that engines read differently"),
        (r"\h+", "has syntax that engines read differently"),
        (r"\w{1,1000000}|.", "cannot be read by tiktoken"),
        (r"(?=a)|\w+", "matches the empty text"),
        (r"\w*", "matches the empty text"),
        (r"\b", "matches the empty text"),
        (r"(?<=a)|b", "matches the empty text"),
        (r"\w+$", "is read in two ways"),
        ("(", "nor a regular expression: missing \\) at position 1"),
        ("a" * 5000, "at most 4096 characters"),
    ],
)
def test_other_patterns_are_refused_when_the_settings_are_read(
    expression: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TokenizerConfig(kind="bpe", pattern=expression)
    with pytest.raises(ConfigError, match=message):
        split_pattern(expression)


def test_the_command_line_and_comparisons_check_it_too() -> None:
    with pytest.raises(ConfigError, match=r"tokenizer.pattern.* matches the empty text"):
        load_config("tiny", settings=["tokenizer.kind=bpe", r"tokenizer.pattern='\w*'"])
    config = load_config("tiny", settings=[r"comparison.tokenizers=['bpe:300:\w*']"])
    with pytest.raises(ConfigError, match="matches the empty text"):
        config.comparison.candidates(config.tokenizer)
