"""Each Arabic rule removes what it names and nothing else, and is idempotent."""

import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import CleaningConfig
from gpt_core.text import Cleaner
from gpt_core.text.arabic import (
    DIACRITICS,
    RULES,
    strip_brackets,
    strip_diacritics,
    strip_digits,
    strip_page_marks,
    strip_punctuation,
    strip_separators,
    strip_tatweel,
    unify_letters,
)
from gpt_core.text.english import RULES as ENGLISH_RULES

SWITCHES = [rule.name for rule in RULES]
LETTERS = "".join(
    chr(code) for code in range(0x0620, 0x06D4) if unicodedata.category(chr(code)) == "Lo"
)
MARKS = "".join(
    chr(code)
    for first, last in ((0x0600, 0x06FF), (0x08A0, 0x08FF))
    for code in range(first, last + 1)
    if unicodedata.category(chr(code)) == "Mn"
)
LINES = st.text(
    st.sampled_from(
        "ابصجة د\n.،؟()[]{}«»/%*=-_0٠۴5\u064b\u0651\u0654\u0670\u0640\u200f\u00a0\r\u06dd"
    )
)


def test_all_arabic_combining_marks_are_removed() -> None:
    assert len(MARKS) > 90
    assert strip_diacritics(f"ب{MARKS}\u06e5\u06e6\ufe77ت") == "بت"


def test_stripping_diacritics_keeps_the_letters() -> None:
    assert strip_diacritics(LETTERS) == LETTERS


def test_quranic_signs_become_a_space() -> None:
    assert strip_diacritics("العالمين۝٢ الرحيم۞ملك").split() == ["العالمين", "٢", "الرحيم", "ملك"]


@given(st.text(st.sampled_from(LETTERS + MARKS + " x")))
def test_composed_and_decomposed_letters_clean_alike(text: str) -> None:
    composed = strip_diacritics(unicodedata.normalize("NFC", text))
    decomposed = strip_diacritics(unicodedata.normalize("NFD", text))
    assert composed == decomposed


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (strip_tatweel, "الـــله", "الله"),
        (unify_letters, "أإآٱ ى ة ؤ ئ ک ی", "اااا ي ه و ي ك ي"),
        (strip_digits, "في ١٢٣ و ۴۵ و 1,234.5 و 50% و ٣٫٥٪ نعم.", "في و و و و نعم."),
        (strip_digits, "سنة 9/482", "سنة"),
        (strip_brackets, "قال ( 9 / 482 ) ثم (١٢) ثم [٣] ثم (۵-۷)", "قال ثم ثم ثم"),
        (strip_brackets, "قال (ص 12) ثم (ج 2 / ص: ١٥) ثم (صفحة ٤)", "قال ثم ثم"),
        (strip_brackets, "ولد (سنة 12) ومات (صالح 5)", "ولد سنة 12 ومات صالح 5"),
        (strip_brackets, "قال [انظر الفتح] {الحمد لله} (نعم) «لا» ﴿قل﴾", "قال الحمد لله نعم لا قل"),
        (strip_brackets, "( ص )", "ص"),
        (
            strip_page_marks,
            "قبل\n- ١٢ -\nصفحة ٤ من 9\nص 12\n \u2014 ۷ \u2014\nPage 3\nبعد",
            "قبل بعد",
        ),
        (strip_page_marks, "كتب صفحة ٤ منه\nصفحة\n- قال", "كتب صفحة ٤ منه صفحة - قال"),
        (strip_separators, "قبل\n=====\n \u00a0----\nـــــ\n***\nبعد", "قبل بعد"),
        (strip_separators, "--\nقال ---- نعم", "-- قال ---- نعم"),
        (strip_punctuation, "قال: نعم، لا؟ (hm) «x»؛ a-b.", "قال نعم لا hm x a b"),
    ],
)
def test_a_rule_removes_what_it_names(rule: Callable[[str], str], before: str, after: str) -> None:
    assert " ".join(rule(before).split()) == after


@given(LINES | st.text(), st.sets(st.sampled_from(SWITCHES)))
def test_cleaning_is_idempotent_for_any_switches(text: str, on: set[str]) -> None:
    switches = {name: name in on for name in SWITCHES}
    once = Cleaner(CleaningConfig(language="arabic", **switches)).clean(text)
    assert Cleaner(CleaningConfig(language="arabic", **switches)).clean(once) == once


@given(LINES | st.text())
def test_no_mark_bracket_digit_or_tatweel_remains_in_any_text(text: str) -> None:
    cleaned = Cleaner(CleaningConfig(language="arabic")).clean(text)
    assert not any(character in DIACRITICS for character in cleaned)
    assert not set(cleaned) & set("()[]{}«»0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹\u0640\u200f\r")


@given(st.text(st.sampled_from(LETTERS + " \n")))
def test_words_of_letters_are_unchanged(text: str) -> None:
    assert Cleaner(CleaningConfig(language="arabic")).clean(text).split() == text.split()


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_rule_has_a_switch(switch: str) -> None:
    text = "قَالَ أحمـد: «نعم» ﻻ  (12)\n- 3 -\n\n=====\n\n\n٤ [انظر]\u200f"
    on = dict.fromkeys(SWITCHES, True)
    all_on = Cleaner(CleaningConfig(language="arabic", **on))
    one_off = Cleaner(CleaningConfig(language="arabic", **{**on, switch: False}))
    all_on.clean(text)
    one_off.clean(text)
    assert switch in all_on.report()
    assert switch not in one_off.report()


def test_one_letter_words_are_no_page_marks() -> None:
    text = "قال و سكت ثم مضى"
    assert Cleaner(CleaningConfig(language="arabic")).clean(text) == text


RUNS = [
    "1", "١", " ", "\t", "\n", "\r", "-", "\u0640", "\u2014", "ص", "a", "\u064e", "\u0653\u064e",
    "(", ")", "[", "]", "1.", "*", "=-", " -", "- ", "\n ", "\u201c", "\u00a0", "\u200f", "(1", "_",
]  # fmt: skip
ENDS = [("", ""), ("ص ", "x"), ("- ", "x"), ("ا", "ب"), ("[", "x"), ("(", "x"), ("a", "b")]


def test_no_rule_takes_quadratic_time() -> None:
    """A quadratic rule takes minutes for a run of this length, a linear one milliseconds."""
    rules = {rule.name: rule for rule in (*RULES, *ENGLISH_RULES)}
    for run in RUNS:
        for before, after in ENDS:
            text = before + run * (30_000 // len(run)) + after
            for name, rule in rules.items():
                started = time.process_time()
                rule.apply(text)
                assert time.process_time() - started < 1, (name, run, before, after)
