"""Documents in other languages are found, also those of the same script."""

import sys

import pytest

from gpt_core.errors import ConfigError
from gpt_core.text.languages import LanguageFilter

TEXTS = {
    "ar": "قال رسول الله صلى الله عليه وسلم إنما الأعمال بالنيات وإنما لكل امرئ ما نوى",
    "fa": "این کتاب درباره تاریخ ایران است و نویسنده آن را در سال گذشته نوشته است",
    "en": "The reader of these pages will find that nothing in them is new.",
    "fr": "Le lecteur de ces pages trouvera que rien de ce qu'elles disent n'est nouveau.",
}


def test_languages_of_one_script_are_distinguished() -> None:
    kept = LanguageFilter(["ar", "en"])
    assert {code: kept.reason(text) for code, text in TEXTS.items()} == {
        "ar": None, "fa": "language_fa", "en": None, "fr": "language_fr",
    }  # fmt: skip
    assert LanguageFilter(["fr"]).reason(TEXTS["en"]) == "language_en"


def test_an_unknown_language_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"languages has xx, which py3langid does not .* en, "):
        LanguageFilter(["ar", "xx"])


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid", None)
    with pytest.raises(ConfigError, match=r"needs py3langid: pip install 'gptflow\[filters\]'"):
        LanguageFilter(["ar"])
