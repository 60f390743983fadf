"""Typographic signs become ASCII; nothing else changes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import CleaningConfig
from gpt_core.text import Cleaner
from gpt_core.text.english import RULES, straighten_dashes, straighten_quotes

SWITCHES = [rule.name for rule in RULES]
SIGNS = st.text(st.sampled_from("ab \t\n\r“”‘’«»–—−…'\"-.\u0092\u0096\u0097\u00a0\u200b\u2003"))


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (straighten_quotes, "“a” ‘b’ it’s „c‟ «d»", '"a" \'b\' it\'s "c" "d"'),
        (straighten_quotes, "I\u0092m \u0093here\u0094", 'I\'m "here"'),
        (straighten_dashes, "a—b 1–2 −3 wait…", "a -- b 1-2 -3 wait..."),
        (straighten_dashes, "a \u0097 b\u0096c", "a -- b-c"),
    ],
)
def test_a_rule_replaces_typographic_signs_by_ascii(
    rule: Callable[[str], str], before: str, after: str
) -> None:
    assert rule(before) == after


@given(SIGNS | st.text(), st.sets(st.sampled_from(SWITCHES)))
def test_cleaning_is_idempotent_for_any_switches(text: str, on: set[str]) -> None:
    switches = {name: name in on for name in SWITCHES}
    once = Cleaner(CleaningConfig(language="english", **switches)).clean(text)
    assert Cleaner(CleaningConfig(language="english", **switches)).clean(once) == once


@given(SIGNS)
def test_typographic_english_becomes_ascii(text: str) -> None:
    assert Cleaner(CleaningConfig(language="english")).clean(text).isascii()


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_ascii_is_unchanged(text: str) -> None:
    assert Cleaner(CleaningConfig(language="english")).clean(text) == text
