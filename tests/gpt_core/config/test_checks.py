"""The bounds of each check: what is on them, just inside and just outside."""

import math
from types import SimpleNamespace

import pytest

from gpt_core.config import ClassificationConfig, JudgeConfig, PreferenceConfig
from gpt_core.config.checks import (
    bounds_of,
    require,
    require_at_least,
    require_at_most,
    require_named,
    require_positive,
    require_share,
)
from gpt_core.errors import ConfigError


@pytest.mark.parametrize("value", [0, 0.0, 0.5, math.nextafter(1, 0)])
def test_a_share_includes_zero_and_excludes_one(value: float) -> None:
    assert ClassificationConfig(test_share=value / 2).test_share == value / 2
    require_share(SimpleNamespace(part=value), "part")


@pytest.mark.parametrize("value", [1, 1.0, -1e-9, 1.5, math.nan])
def test_a_share_outside_its_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"part must be in \[0, 1\), got"):
        require_share(SimpleNamespace(part=value), "part")


def test_all_examples_cannot_be_held_out() -> None:
    with pytest.raises(ConfigError, match=r"test_share must be in \[0, 1\), got 1.0"):
        ClassificationConfig(test_share=1.0, validation_share=0.0)
    with pytest.raises(ConfigError, match=r"validation_share \+ test_share must be below 1"):
        ClassificationConfig(test_share=0.5, validation_share=0.5)


def test_a_minimum_is_included_and_none_is_free() -> None:
    require_at_least(SimpleNamespace(n=3, other=None), 3, "n", "other")
    with pytest.raises(ConfigError, match=r"n must be at least 3, got 2\.9"):
        require_at_least(SimpleNamespace(n=2.9), 3, "n")


def test_zero_is_not_positive_and_none_is_free() -> None:
    require_positive(SimpleNamespace(x=1e-300, other=None), "x", "other")
    for value in (0, 0.0, -1):
        with pytest.raises(ConfigError, match="x must be greater than 0, got"):
            require_positive(SimpleNamespace(x=value), "x")


def test_every_named_field_is_checked() -> None:
    for check in (require_positive, require_share):
        with pytest.raises(ConfigError, match="second must be"):
            check(SimpleNamespace(first=0.5, second=-1.0), "first", "second")


def test_a_condition_that_fails_is_its_message() -> None:
    require(True, "never")
    with pytest.raises(ConfigError, match=r"^always$"):
        require(False, "always")


def test_at_most_names_the_limit() -> None:
    some = SimpleNamespace(size=5, none=None)
    require_at_most(some, 5, "size", "none")
    with pytest.raises(ConfigError, match="size must be at most 4, got 5"):
        require_at_most(some, 4, "size")


def test_a_name_is_not_blank_and_has_no_nul() -> None:
    some = SimpleNamespace(good="a", none=None, blank=" ", nul="a\0")
    require_named(some, "good", "none")
    for name in ("blank", "nul"):
        with pytest.raises(ConfigError, match=f"{name} must name something"):
            require_named(some, name)


def test_a_judge_has_a_name() -> None:
    with pytest.raises(ConfigError, match="model must name the judge that answers"):
        JudgeConfig(url="http://127.0.0.1:11434/v1")


def test_the_ranges_that_a_class_checks_are_known_in_the_terms_of_json_schema() -> None:
    bounds = bounds_of(ClassificationConfig)
    assert bounds["epochs"] == {"minimum": 1}
    assert bounds["learning_rate"] == {"exclusiveMinimum": 0}
    assert bounds["test_share"] == {"minimum": 0, "exclusiveMaximum": 1}
    assert "source" not in bounds
    assert "near_duplicates" not in bounds_of(PreferenceConfig), "its base class checks it"
