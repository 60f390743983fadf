"""Typographic signs become those of a keyboard; nothing else changes."""

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
def test_a_rule_writes_what_a_keyboard_has(
    rule: Callable[[str], str], before: str, after: str
) -> None:
    assert rule(before) == after


@given(SIGNS | st.text(), st.sets(st.sampled_from(SWITCHES)))
def test_cleaning_twice_is_cleaning_once_whatever_is_switched_on(text: str, on: set[str]) -> None:
    switches = {name: name in on for name in SWITCHES}
    once = Cleaner(CleaningConfig(language="english", **switches)).clean(text)
    assert Cleaner(CleaningConfig(language="english", **switches)).clean(once) == once


@given(SIGNS)
def test_only_ascii_is_left_of_typographic_english(text: str) -> None:
    assert Cleaner(CleaningConfig(language="english")).clean(text).isascii()


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_plain_ascii_stays_as_it_is(text: str) -> None:
    assert Cleaner(CleaningConfig(language="english")).clean(text) == text
