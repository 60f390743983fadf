"""Rules are named after the switches of the cleaning configuration."""

from dataclasses import fields

import pytest

from gpt_core.config import CleaningConfig
from gpt_core.text import arabic, english
from gpt_core.text.arabic import arabic_rules
from gpt_core.text.english import english_rules


def test_every_switch_but_those_of_filters_is_a_rule() -> None:
    switches = {field.name for field in fields(CleaningConfig) if field.type is bool}
    rules = [rule.name for rule in (*arabic.RULES, *english.RULES)]
    assert switches - {"deduplicate", "near_duplicates", "quality"} == set(rules)
    both = {"strip_controls", "collapse_whitespace"}
    assert len(rules) == len(set(rules)) + len(both)


@pytest.mark.parametrize("rule", [*arabic.RULES, *english.RULES], ids=lambda rule: rule.name)
def test_a_rule_is_applied_only_if_it_is_switched_on(rule: object) -> None:
    off = CleaningConfig(**{rule.name: False})  # type: ignore[attr-defined]
    on = CleaningConfig(**{rule.name: True})  # type: ignore[attr-defined]
    assert rule not in (*arabic_rules(off), *english_rules(off))
    assert rule in (*arabic_rules(on), *english_rules(on))
