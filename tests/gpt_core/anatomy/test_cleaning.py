"""The effect of each rule: the steps add up to what the cleaner does."""

import pytest
from anatomy_models import ARABIC
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.anatomy import cleaning_steps
from gpt_core.config import CleaningConfig
from gpt_core.text import Cleaner


def test_the_marks_of_vowels_are_what_the_rule_removed() -> None:
    steps = cleaning_steps("قَالَ", CleaningConfig())
    assert [step.rule for step in steps] == ["strip_diacritics"]
    removed = [change.text for change in steps[0].changes if change.kind == "removed"]
    assert removed == ["\u064e", "\u064e"]
    assert steps[0].after == "قال"


def test_a_clean_text_has_no_step() -> None:
    assert cleaning_steps("A clean line.", CleaningConfig()) == []


@pytest.mark.parametrize("language", ["auto", "arabic", "english"])
@given(text=st.text(alphabet="aé \t\u0000\u064eقـ\u200f\ufeff“”1٢\n", max_size=40))
def test_steps_follow_each_other_and_end_with_the_cleaned_text(language: str, text: str) -> None:
    config = CleaningConfig(language=language)
    current = text
    for step in cleaning_steps(text, config):
        assert step.before == current
        assert step.after != current
        current = step.after
    assert current == Cleaner(config).clean(text)


def test_an_arabic_line_loses_marks_and_a_space() -> None:
    rules = {step.rule for step in cleaning_steps(ARABIC, CleaningConfig())}
    assert rules == {"strip_diacritics", "collapse_whitespace"}
