"""Rows and base models of the table of classifiers."""

import pytest

from gpt_core.config import AblationConfig
from gpt_core.errors import ConfigError


def test_rows_and_models_must_differ_and_models_be_at_most_three_in_all() -> None:
    assert len(AblationConfig().rows) == 7
    assert AblationConfig(checkpoints=("a/b", "c")).by_label() == {"b": "a/b", "c": "c"}
    with pytest.raises(ConfigError, match="rows must name each row once"):
        AblationConfig(rows=("head", "head"))
    with pytest.raises(ConfigError, match="rows must name at least one row"):
        AblationConfig(rows=())
    with pytest.raises(ConfigError, match="checkpoints must be at most 2 besides checkpoint, got"):
        AblationConfig(checkpoints=("a", "b", "c"))
    with pytest.raises(ConfigError, match="checkpoints must differ from each other, got a, a"):
        AblationConfig(checkpoints=("a", "a"))
