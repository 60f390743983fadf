"""Names of checkpoints, benchmarks and tokenizers in the settings of evaluation."""

from pathlib import Path

import pytest

from gpt_core.config import BenchmarkConfig, ComparisonConfig, EvaluationConfig, TokenizerConfig
from gpt_core.errors import ConfigError

BASE = TokenizerConfig(kind="bpe", vocab_size=700, pattern="marks")


def test_checkpoints_are_labelled_by_directory_or_by_directory_and_step() -> None:
    config = BenchmarkConfig(checkpoints=("data/a/one/", "gpt2", "b/one/step-00000250"))
    assert config.by_label() == {
        "one": "data/a/one/", "gpt2": "gpt2", "one/step-00000250": "b/one/step-00000250"
    }  # fmt: skip


def test_checkpoints_with_the_same_label_are_refused() -> None:
    with pytest.raises(ConfigError, match="checkpoints must differ from each other, got a/x, b/x"):
        BenchmarkConfig(checkpoints=("a/x", "b/x"))


def test_the_sources_are_those_of_the_given_benchmarks() -> None:
    config = BenchmarkConfig(text="t.txt", lambada="lambada")
    assert list(config.sources().items()) == [("lambada", "lambada"), ("text", "t.txt")]
    assert BenchmarkConfig().sources() == {}


@pytest.mark.parametrize("name", ["stride", "limit", "batch_size"])
def test_benchmark_settings_below_one_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        BenchmarkConfig(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_tokens", "batch_size"])
def test_evaluation_settings_below_one_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        EvaluationConfig(**{name: 0})  # type: ignore[arg-type]


def candidate(name: str) -> TokenizerConfig:
    [found] = ComparisonConfig(tokenizers=(name,)).candidates(BASE).values()
    assert isinstance(found, TokenizerConfig)
    return found


@pytest.mark.parametrize(
    ("name", "kind", "size", "pattern"),
    [
        ("bpe", "bpe", 700, "marks"),
        ("bpe:8000", "bpe", 8000, "marks"),
        ("bpe:8000:gpt2", "bpe", 8000, "gpt2"),
        (r"bpe::\w+|(?:\W)", "bpe", 700, r"\w+|(?:\W)"),
        ("sentencepiece-bpe", "sentencepiece-bpe", 700, "marks"),
        ("unigram", "unigram", 700, "marks"),
        ("word:50", "word", 50, "marks"),
        ("word", "word", None, "marks"),
        ("character", "character", None, "marks"),
        ("byte", "byte", None, "marks"),
    ],
)
def test_a_tokenizer_is_named_by_kind_size_and_pattern(
    name: str, kind: str, size: int | None, pattern: str
) -> None:
    found = candidate(name)
    assert (found.kind, found.vocab_size, found.pattern) == (kind, size, pattern)


def test_a_kind_with_a_size_takes_the_default_one_if_the_section_has_none() -> None:
    base = TokenizerConfig(kind="byte", vocab_size=None)
    [found] = ComparisonConfig(tokenizers=("bpe",)).candidates(base).values()
    assert isinstance(found, TokenizerConfig)
    assert found.vocab_size == TokenizerConfig().vocab_size


def test_a_name_with_a_slash_is_a_directory() -> None:
    config = ComparisonConfig(tokenizers=("data/tokenizers/mine", "bpe:500:a/b"))
    mine, bpe = config.candidates(BASE).items()
    assert mine == ("mine", Path("data/tokenizers/mine"))
    assert bpe[0] == "bpe:500:a/b"
    assert isinstance(bpe[1], TokenizerConfig)


@pytest.mark.parametrize(
    ("tokenizers", "sentence"),
    [
        ((), "tokenizers must name at least one, such as bpe:8000"),
        (("bpe", "bpe"), "tokenizers must differ from each other, got bpe, bpe"),
        (("a/x", "b/x"), "tokenizers must differ from each other, got a/x, b/x"),
    ],
)
def test_no_or_equal_tokenizers_are_refused(tokenizers: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ComparisonConfig(tokenizers=tokenizers)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bbpe", "comparison.tokenizers: bbpe: there is no kind 'bbpe'; there are "),
        ("bpe:many", "comparison.tokenizers: bpe:many: after the colon comes a size"),
        ("bpe:9", "comparison.tokenizers: bpe:9: vocab_size must be at least 257"),
    ],
)
def test_a_malformed_name_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        candidate(name)
