"""Rules for Arabic text: marks, letter forms, brackets, page marks, digits, punctuation.

Each is a pure function. What a rule cuts out between two words leaves a space, which
``collapse_whitespace`` tidies up; a mark inside a word leaves nothing.
"""

import re

from gpt_core.config import CleaningConfig
from gpt_core.text.characters import collapse_whitespace, strip_controls
from gpt_core.text.rules import Rule

DIACRITICS = re.compile(
    "["
    "\u0610-\u061a"  # honorifics and small high signs
    "\u064b-\u065f"  # vowel signs, shadda, sukun, maddah, hamza above and below
    "\u0670"  # superscript alef
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # Quranic annotation
    "\u0897-\u089f\u08ca-\u08e1\u08e3-\u08ff"  # extended marks
    "]+"
)
_DIGIT = "0-9\u0660-\u0669\u06f0-\u06f9"  # ASCII, Arabic-Indic, Eastern Arabic-Indic
_DIGITS = re.compile(f"[{_DIGIT}]+(?:[.,/:\u066b\u066c-][{_DIGIT}]+)*[%\u066a]?")
_PUNCTUATION = re.compile(
    r"[!-/:-@\[-`{-~"
    "\u00a1-\u00bf\u2010-\u2027\u2030-\u205e"  # Latin-1 signs, general punctuation
    "\u060c\u060d\u061b\u061e\u061f\u066a-\u066d\u06d4\u06dd\u06de\u06e9\ufd3e\ufd3f"  # Arabic
    "]+"
)
_NUMBER_OR_REFERENCE = re.compile(
    rf"\(\s*[{_DIGIT}][{_DIGIT}\s/:,.\u060c\u066b\u066c-]*\)"
    rf"|\[\s*[{_DIGIT}][{_DIGIT}\s/:,.\u060c\u066b\u066c-]*\]"
)
_NOTE = re.compile(r"\[[^\[\]\n]*\]")
_BRACKETS = re.compile("[()\\[\\]{}<>\u00ab\u00bb\ufd3e\ufd3f]")
_PAGE_WORD = "(?:صفحة|الصفحة|ص|[Pp]age|[Pp]\\.)"
_PAGE_MARK = re.compile(
    rf"^[ \t]*(?:[-=_*~\u0640\u2013\u2014]{{3,}}|{_PAGE_WORD}[ .:]*[{_DIGIT}]+"
    rf"|[-\u2013\u2014]+[ \t]*[{_DIGIT}]+[ \t]*[-\u2013\u2014]+)[ \t]*$",
    re.MULTILINE,
)
_LETTER_FORMS = str.maketrans(
    {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ؤ": "و", "ئ": "ي"}
)


def strip_diacritics(text: str) -> str:
    """Remove every sign that is written above or below a letter.

    Example:
        >>> strip_diacritics("بِسْمِ ٱللَّهِ")
        'بسم ٱلله'
    """
    return DIACRITICS.sub("", text)


def strip_tatweel(text: str) -> str:
    """Remove the stroke that stretches a word or stands for a dash."""
    return text.replace("\u0640", "")


def unify_letters(text: str) -> str:
    """Write the forms of one letter in one way, as search engines do.

    Example:
        >>> unify_letters("أحمد إلى مكة")
        'احمد الي مكه'
    """
    return text.translate(_LETTER_FORMS)


def strip_brackets(text: str) -> str:
    """Remove bracketed numbers and square-bracketed notes; of other brackets only the signs.

    What stands in round or curly brackets is mostly text: a quotation of the Quran, an aside.

    Example:
        >>> strip_brackets("قال (12) {الحمد} [انظر الفتح] (نعم)").split()
        ['قال', 'الحمد', 'نعم']
    """
    return _BRACKETS.sub(" ", _NOTE.sub(" ", _NUMBER_OR_REFERENCE.sub(" ", text)))


def strip_page_marks(text: str) -> str:
    r"""Remove lines that only separate or number pages.

    Example:
        >>> strip_page_marks("قبل\n- 12 -\n=====\nبعد").split()
        ['قبل', 'بعد']
    """
    return _PAGE_MARK.sub("", text)


def strip_digits(text: str) -> str:
    """Remove numbers in all three digit families, with the signs that hold a number together.

    Example:
        >>> strip_digits("سنة ١٤٤٥ و 1,234.5 و ۷").split()
        ['سنة', 'و', 'و']
    """
    return _DIGITS.sub(" ", text)


def strip_punctuation(text: str) -> str:
    """Remove the punctuation of both scripts."""
    return _PUNCTUATION.sub(" ", text)


RULES = (
    Rule("strip_controls", strip_controls),
    Rule("strip_page_marks", strip_page_marks),
    Rule("strip_brackets", strip_brackets),
    Rule("strip_diacritics", strip_diacritics),
    Rule("strip_tatweel", strip_tatweel),
    Rule("unify_letters", unify_letters),
    Rule("strip_digits", strip_digits),
    Rule("strip_punctuation", strip_punctuation),
    Rule("collapse_whitespace", collapse_whitespace),
)
"""In this order: marks go before the signs that they are recognized by."""


def arabic_rules(config: CleaningConfig) -> tuple[Rule, ...]:
    """The rules that are switched on, in order."""
    return tuple(rule for rule in RULES if getattr(config, rule.name))
