"""Invisible characters are removed, and white space is collapsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.text.characters import CharacterSet, collapse_whitespace, strip_controls


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\u200fb\ufeffc\x00\x1b", "abc"),
        ("a\r\nb\rc\u0085d\u2028e\u2029f\x0bg\x0ch\r\r\ni", "a\nb\nc\nd\ne\nf\ng\nh\n\ni"),
        ("\u202bقال\u202c \u2066x\u2069\u061c\u200e", "قال x"),
        ("soft\u00adhyphen \ufffc\ufffd\u200b\u2060.", "softhyphen ."),
        (
            "می\u200cخواهم 👩\u200d👧 \U0001f1e9\U0001f1ea",
            "می\u200cخواهم 👩\u200d👧 \U0001f1e9\U0001f1ea",
        ),
        ("half \ud83d of one", "half  of one"),
        ("tab\there\n", "tab\there\n"),
    ],
)
def test_invisible_characters_are_removed_and_joiners_kept(before: str, after: str) -> None:
    assert strip_controls(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  a\u00a0\t b \n\n\n\n \n c\n", "a b\n\nc"),
        ("a\u2009\u3000b", "a b"),
        ("a \t\n\t b", "a\nb"),
        (" \n \n", ""),
    ],
)
def test_white_space_collapses_to_one_space_and_one_blank_line(before: str, after: str) -> None:
    assert collapse_whitespace(before) == after


@given(st.text(st.sampled_from("ab \t\n\u00a0\u3000\r")))
def test_collapsing_keeps_the_words_and_their_order(text: str) -> None:
    collapsed = collapse_whitespace(text)
    assert collapsed.split() == text.split()
    assert collapse_whitespace(collapsed) == collapsed


@given(st.text(), st.sets(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_a_character_set_removes_what_str_translate_removes(
    text: str, characters: set[str]
) -> None:
    table = CharacterSet(characters)
    assert table.remove_from(text) == text.translate(str.maketrans("", "", "".join(characters)))
    assert all(character in table for character in characters)
    assert "\U0001f600" not in table
