"""Presentation forms become the letters that they show, and nothing else changes."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import CleaningConfig
from gpt_core.text import Cleaner
from gpt_core.text.presentation_forms import fold_presentation_forms

FORMS = [
    chr(code)
    for code in (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFF))
    if unicodedata.decomposition(chr(code))
]


def test_every_form_becomes_its_compatibility_decomposition() -> None:
    assert len(FORMS) > 700
    for form in FORMS:
        expected = unicodedata.normalize("NFKC", form)
        if expected[0] == " " and unicodedata.combining(expected[1]):
            expected = expected[1:]  # a vowel sign over a space is in the middle of a word
        assert fold_presentation_forms(form) == expected


def test_words_of_old_files_are_read() -> None:
    assert fold_presentation_forms("ﷲ ﻻ ﷺ ﺍﻟﺴﻼﻡ ﻛﺘﺎﺏٌ ﴿قل﴾ ﷽") == (
        "الله لا صلى الله عليه وسلم السلام كتابٌ ﴿قل﴾ ﷽"
    )
    assert fold_presentation_forms("كتﹷاب") == "كتـَاب"


@given(st.text(st.characters(exclude_characters="".join(FORMS), exclude_categories=["Cs"])))
def test_other_text_stays(text: str) -> None:
    assert fold_presentation_forms(text) == text


def test_the_rule_is_on_for_arabic_and_reported() -> None:
    cleaner = Cleaner(CleaningConfig())
    assert cleaner.clean("قال ﷲ ﻻ") == "قال الله لا"
    report = cleaner.report()["fold_presentation_forms"]
    assert report["documents"] == 1
    assert report["characters_removed"] == -4  # the letters of two ligatures
    kept = Cleaner(CleaningConfig(fold_presentation_forms=False))
    assert kept.clean("قال ﷲ ﻻ") == "قال ﷲ ﻻ"
    assert Cleaner(CleaningConfig(language="none")).clean("ﷲ") == "ﷲ"
