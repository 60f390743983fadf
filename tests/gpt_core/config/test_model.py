"""The shape of a model: its bounds, and what follows from it."""

import pytest

from gpt_core.config import BigramConfig, GPTConfig
from gpt_core.errors import ConfigError


def test_the_head_width_divides_the_embedding_width() -> None:
    assert GPTConfig().head_width == 64
    assert GPTConfig(n_embd=30, n_head=5).head_width == 6


@pytest.mark.parametrize(
    ("n_embd", "n_head", "near"), [(100, 12, 96), (10, 4, 8), (2, 4, 4), (767, 12, 768)]
)
def test_an_embedding_width_that_the_heads_do_not_divide_names_a_near_one(
    n_embd: int, n_head: int, near: int
) -> None:
    with pytest.raises(ConfigError, match=rf"must be a multiple of n_head .*try n_embd={near}$"):
        GPTConfig(n_embd=n_embd, n_head=n_head)
    assert GPTConfig(n_embd=near, n_head=n_head).n_embd == near


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_layer": 0}, "n_layer must be at least 1, got 0"),
        ({"n_head": 0}, "n_head must be at least 1, got 0"),
        ({"n_embd": 0}, "n_embd must be at least 1, got 0"),
        ({"context_length": 0}, "context_length must be at least 1, got 0"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"attention_dropout": -0.1}, r"attention_dropout must be in \[0, 1\), got -0.1"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon must be greater than 0, got 0"),
    ],
)
def test_a_setting_out_of_range_is_one_sentence(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        GPTConfig(**settings)  # type: ignore[arg-type]


def test_a_bigram_needs_a_vocabulary() -> None:
    assert BigramConfig(vocab_size=1).vocab_size == 1
    with pytest.raises(ConfigError, match="vocab_size must be at least 1, got 0"):
        BigramConfig(vocab_size=0)
