"""Each rule removes what it names and nothing else; twice is as good as once."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import CleaningConfig
from gpt_core.text import Cleaner, language_of
from gpt_core.text.arabic import (
    RULES,
    strip_brackets,
    strip_diacritics,
    strip_digits,
    strip_page_marks,
    strip_punctuation,
    strip_tatweel,
    unify_letters,
)
from gpt_core.text.characters import collapse_whitespace, strip_controls
from gpt_core.text.english import straighten_dashes, straighten_quotes

ARABIC = st.text(
    st.sampled_from("ابتثجحخ دذرزسش\n.،؟()[]{}«»0123٠١٢۴۵\u064b\u064e\u0651\u0670\u0640\u200f-")
)
ALL_ON = CleaningConfig(language="arabic", strip_punctuation=True, unify_letters=True)


def test_no_sign_above_or_below_an_arabic_letter_remains() -> None:
    marks = "".join(
        chr(code)
        for first, last in ((0x0600, 0x06FF), (0x08A0, 0x08FF))
        for code in range(first, last + 1)
        if unicodedata.category(chr(code)) == "Mn"
    )
    assert len(marks) > 70
    assert strip_diacritics(f"ب{marks}ت") == "بت"


def test_letters_are_not_touched_by_the_rule_for_marks() -> None:
    letters = "".join(
        chr(code) for code in range(0x0620, 0x06D4) if unicodedata.category(chr(code)) == "Lo"
    )
    assert strip_diacritics(letters) == letters


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (strip_tatweel, "الـــله", "الله"),
        (unify_letters, "أإآٱ ى ة ؤ ئ", "اااا ي ه و ي"),
        (strip_digits, "في ١٢٣ و ۴۵ و 1,234.5 و 50% نعم", "في و و و نعم"),
        (strip_digits, "سنة 9/482", "سنة"),
        (strip_brackets, "قال ( 9 / 482 ) ثم (١٢) ثم [٣]", "قال ثم ثم"),
        (strip_brackets, "قال [انظر الفتح] {الحمد لله} (نعم) «لا»", "قال الحمد لله نعم لا"),
        (strip_page_marks, "قبل\n- ١٢ -\n=====\nصفحة ٤\nص 12\n----\nبعد", "قبل بعد"),
        (strip_page_marks, "كتب صفحة ٤ منه", "كتب صفحة ٤ منه"),
        (strip_punctuation, "قال: نعم، لا؟ (hm) «x»؛ a-b.", "قال نعم لا hm x a b"),
    ],
)
def test_an_arabic_rule_removes_what_it_names(rule, before: str, after: str) -> None:
    assert " ".join(rule(before).split()) == after


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (straighten_quotes, "“a” ‘b’ it’s „c‟", '"a" \'b\' it\'s "c"'),
        (straighten_dashes, "a—b 1–2 −3 wait…", "a -- b 1-2 -3 wait..."),
        (strip_controls, "a\u200fb\ufeffc\x00\x1b\u0085d\r\ne\re", "abc\nd\ne\ne"),
        (strip_controls, "می\u200cخواهم 👩\u200d👧", "می\u200cخواهم 👩\u200d👧"),
        (collapse_whitespace, "  a\u00a0\t b \n\n\n\n \n c\n", "a b\n\nc"),
    ],
)
def test_a_rule_for_all_scripts_gives_plain_text(rule, before: str, after: str) -> None:
    assert rule(before) == after


@given(ARABIC)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = Cleaner(ALL_ON).clean(text)
    assert Cleaner(ALL_ON).clean(once) == once


@given(st.text())
def test_cleaning_takes_any_text_and_never_adds_a_diacritic(text: str) -> None:
    cleaned = Cleaner(CleaningConfig(language="arabic")).clean(text)
    assert strip_diacritics(cleaned) == cleaned


@pytest.mark.parametrize("switch", [rule.name for rule in RULES])
def test_every_rule_has_a_switch(switch: str) -> None:
    text = "قَالَ أحمـد: «نعم»  (12)\n- 3 -\n\n\n\n٤ [انظر]\u200f"
    on = {rule.name: True for rule in RULES}
    all_on = Cleaner(CleaningConfig(language="arabic", **on))
    one_off = Cleaner(CleaningConfig(language="arabic", **{**on, switch: False}))
    all_on.clean(text)
    one_off.clean(text)
    assert switch in all_on.reports
    assert switch not in one_off.reports


def test_one_letter_words_do_not_cut_a_line() -> None:
    text = "قال و سكت ثم مضى"
    assert Cleaner(CleaningConfig(language="arabic")).clean(text) == text


def test_the_language_is_that_of_most_letters() -> None:
    assert language_of("السلام عليكم hi") == "arabic"
    assert language_of("hello there سلام") == "english"
    assert language_of("123") == "english"
