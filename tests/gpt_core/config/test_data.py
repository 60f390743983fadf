"""Invalid settings of token shards and of the loader are refused before anything starts."""

from typing import Any

import pytest

from gpt_core.config import IGNORED, LoaderConfig, ShardConfig
from gpt_core.errors import ConfigError


@pytest.mark.parametrize(
    ("section", "settings", "sentence"),
    [
        (ShardConfig, {"tokens_per_shard": 0}, "tokens_per_shard must be at least 1, got 0"),
        (ShardConfig, {"workers": -1}, "workers must be at least 0, got -1"),
        (LoaderConfig, {"stride": 0}, "stride must be at least 1, got 0"),
        (LoaderConfig, {"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_an_invalid_setting_is_refused(
    section: type, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        section(**settings)


def test_the_smallest_values_are_accepted() -> None:
    assert ShardConfig(tokens_per_shard=1, workers=0).workers == 0
    assert LoaderConfig(stride=1, seed=0).seed == 0
    assert LoaderConfig().stride is None


def test_the_ignored_target_is_pytorchs() -> None:
    assert IGNORED == -100  # the default of torch.nn.functional.cross_entropy
