"""The bounds of the decoding settings."""

import pytest

from gpt_core.config import DecodingConfig
from gpt_core.errors import ConfigError


def test_bounds_are_included() -> None:
    least = DecodingConfig(max_new_tokens=1, temperature=0, top_k=1, top_p=1.0, seed=0)
    assert least.top_p == 1.0
    assert DecodingConfig(top_k=None, top_p=None).top_k is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"temperature": -0.1}, "temperature must be at least 0, got -0.1"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 1.1}, r"top_p must be in \(0, 1\], got 1.1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_a_setting_out_of_range_is_one_sentence(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        DecodingConfig(**settings)  # type: ignore[arg-type]
