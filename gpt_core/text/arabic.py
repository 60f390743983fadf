"""Rules for Arabic text: marks, letter forms, brackets, page marks, digits, punctuation.

Each rule is a pure function. Anything removed between two words leaves a space, which
``collapse_whitespace`` normalizes; a mark removed inside a word leaves nothing.
"""

import re
import unicodedata
from itertools import chain

from gpt_core.config import CleaningConfig
from gpt_core.text.characters import CharacterSet, collapse_whitespace, strip_controls
from gpt_core.text.presentation_forms import fold_presentation_forms
from gpt_core.text.rules import Rule

_MARK_RANGES = (
    (0x0610, 0x061A),  # honorifics and small high signs
    (0x064B, 0x065F),  # vowel signs, shadda, sukun, maddah, hamza above and below
    (0x0670, 0x0670),  # superscript alef
    (0x06D6, 0x06DC),  # Quranic pause marks
    (0x06DF, 0x06E8),  # Quranic annotation, small waw and small yeh
    (0x06EA, 0x06ED),
    (0x0897, 0x089F),  # extended marks
    (0x08CA, 0x08E1),
    (0x08E3, 0x08FF),
    (0xFC5E, 0xFC63),  # ligatures of shadda and a vowel sign
    (0xFCF2, 0xFCF4),
    (0xFE70, 0xFE72),  # vowel signs as isolated forms, also on a tatweel
    (0xFE74, 0xFE74),
    (0xFE76, 0xFE7F),
)
DIACRITICS = CharacterSet(
    map(chr, chain.from_iterable(range(first, last + 1) for first, last in _MARK_RANGES))
)
_QURANIC_SIGNS = re.compile("[\u06dd\u06de\u06e9\u08e2]")  # end of verse, start of section, sajdah
_COMPOSING_MARKS = re.compile("[\u0653-\u0655]")  # alef + hamza above is also one code point
# Of at most 30 marks, as in Unicode's stream-safe text: to order n marks takes time in n squared.
_MARKED_LETTER = re.compile(
    "[\u0621-\u064a\u06c1\u06d2\u06d5]"
    f"[{''.join(f'{first:c}-{last:c}' for first, last in _MARK_RANGES)}]{{1,30}}"
)

_DIGIT = "0-9\u0660-\u0669\u06f0-\u06f9"  # ASCII, Arabic-Indic, Eastern Arabic-Indic
_NUMBER = re.compile(f"[{_DIGIT}]+(?:[.,/:\u066b\u066c-][{_DIGIT}]+)*[%\u066a]?")
_PUNCTUATION = re.compile(
    r"[!-/:-@\[-`{-~"
    "\u00a1-\u00bf\u2010-\u2027\u2030-\u205e"  # Latin-1 signs, general punctuation
    "\u060c\u060d\u061b\u061d-\u061f\u066a-\u066d\u06d4\u06dd\u06de\u06e9\ufd3e\ufd3f"  # Arabic
    "]+"
)
_PAGE_WORD = "(?:(?:ال)?(?:صفح[ةه]|جزء)|ص|ج|رقم|حاشي[ةه]|هامش|[Pp]age|[Pp]|[Vv]ol)"
_ROUND_BRACKETS = re.compile(r"\(([^()\n]{1,60})\)")
_REFERENCE = re.compile(rf"(?:{_PAGE_WORD}(?![^\W\d_])|[\s/:.,;\u060c\u061b\u066b\u066c\u2013-])*")
_NOTE = re.compile(r"\[[^\[\]\n]*\]")
_BRACKETS = re.compile("[()\\[\\]{}<>\u00ab\u00bb\ufd3e\ufd3f]")

# On one line, anything but letters and digits. What a run matches is never given back (*+, ++): no
# rest of a line that follows one begins with what is in it, and trying would take quadratic time.
_SIGNS = r"(?:(?!\n)[\W_\u0640])*+"
_DASH = "\u2013\u2014\u0640-"
_BEFORE_DASH = rf"(?=(?:(?![\n{_DASH}])[\W_])*+[{_DASH}])"
_PAGE_NUMBER = re.compile(
    rf"^{_SIGNS}{_PAGE_WORD}{_SIGNS}[{_DIGIT}]++"
    rf"(?:{_SIGNS}(?:(?:من|of){_SIGNS})?[{_DIGIT}]++)?{_SIGNS}$"
    rf"|^{_BEFORE_DASH}{_SIGNS}[{_DIGIT}]++{_BEFORE_DASH}{_SIGNS}$",
    re.MULTILINE,
)
_SEPARATOR = re.compile(
    rf"^(?={_SIGNS}$)[^\n]*[-=_*~#\u2013\u2014\u0640]{{3}}[^\n]*$", re.MULTILINE
)
_LETTER_FORMS = str.maketrans("أإآٱىیةؤئک", "ااااييهويك")


def strip_diacritics(text: str) -> str:
    """Remove combining marks above and below letters, and Quranic annotation signs.

    A letter that Unicode encodes as one or as two code points, such as alef with hamza, keeps its
    hamza in both forms.

    Example:
        >>> strip_diacritics("بِسْمِ ٱللَّهِ")
        'بسم ٱلله'
    """
    if _COMPOSING_MARKS.search(text):
        text = _MARKED_LETTER.sub(lambda match: unicodedata.normalize("NFC", match[0]), text)
    return DIACRITICS.remove_from(_QURANIC_SIGNS.sub(" ", text))


def strip_tatweel(text: str) -> str:
    """Remove the tatweel U+0640, which elongates words and is also typed as a dash."""
    return text.replace("\u0640", "")


def unify_letters(text: str) -> str:
    """Normalize variants of a letter to one form, as search engines do.

    Example:
        >>> unify_letters("أحمد إلى مكة")
        'احمد الي مكه'
    """
    return text.translate(_LETTER_FORMS)


def strip_brackets(text: str) -> str:
    """Remove bracketed numbers, page references and notes in square brackets.

    Other round or curly brackets mostly enclose text, such as a quotation of the Quran: only the
    bracket characters are removed.

    Example:
        >>> strip_brackets("قال (12) {الحمد} [انظر الفتح] (ج 2 / ص 15) (نعم)").split()
        ['قال', 'الحمد', 'نعم']
    """
    text = _ROUND_BRACKETS.sub(lambda match: " " if _is_reference(match[1]) else match[0], text)
    return _BRACKETS.sub(" ", _NOTE.sub(" ", text))


def _is_reference(inside: str) -> bool:
    """Whether it holds a number and otherwise only punctuation and words such as "page"."""
    rest, numbers = _NUMBER.subn("", inside)
    return numbers > 0 and _REFERENCE.fullmatch(rest) is not None


def strip_page_marks(text: str) -> str:
    r"""Remove lines that hold only a page number.

    Example:
        >>> strip_page_marks("قبل\n- 12 -\nصفحة ٤\nبعد").split()
        ['قبل', 'بعد']
    """
    return _PAGE_NUMBER.sub("", text)


def strip_separators(text: str) -> str:
    r"""Remove lines of dashes, stars and the like that separate pages or sections.

    Example:
        >>> strip_separators("قبل\n=====\nبعد").split()
        ['قبل', 'بعد']
    """
    return _SEPARATOR.sub("", text)


def strip_digits(text: str) -> str:
    """Remove numbers in ASCII, Arabic-Indic and Eastern Arabic-Indic digits, with their separators.

    Example:
        >>> strip_digits("سنة ١٤٤٥ و 1,234.5 و ۷").split()
        ['سنة', 'و', 'و']
    """
    return _NUMBER.sub(" ", text)


def strip_punctuation(text: str) -> str:
    """Remove Arabic and Latin punctuation."""
    return _PUNCTUATION.sub(" ", text)


RULES = (
    Rule("strip_controls", strip_controls),
    Rule("fold_presentation_forms", fold_presentation_forms),
    Rule("strip_diacritics", strip_diacritics),
    Rule("strip_tatweel", strip_tatweel),
    Rule("unify_letters", unify_letters),
    Rule("strip_brackets", strip_brackets),
    Rule("strip_page_marks", strip_page_marks),
    Rule("strip_digits", strip_digits),
    Rule("strip_separators", strip_separators),
    Rule("strip_punctuation", strip_punctuation),
    Rule("collapse_whitespace", collapse_whitespace),
)
"""The order makes cleaning idempotent: no rule exposes text that an earlier rule would remove."""


def arabic_rules(config: CleaningConfig) -> tuple[Rule, ...]:
    """The rules that the configuration enables, in order."""
    return tuple(rule for rule in RULES if getattr(config, rule.name))
