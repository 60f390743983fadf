"""Fold the presentation forms of Arabic letters, as old files and extracted PDFs have them."""

import re
import unicodedata

_BLOCKS = ((0xFB50, 0xFDFF), (0xFE70, 0xFEFC))  # Arabic Presentation Forms-A and -B


def _folded(character: str) -> str:
    """The letters of a form; of a sign over a space, the sign alone."""
    letters = unicodedata.normalize("NFKC", character)
    is_sign = letters[0] == " " and all(map(unicodedata.combining, letters[1:]))
    return letters[1:] if is_sign else letters


_FOLDED = {
    form: _folded(form)
    for first, last in _BLOCKS
    for form in map(chr, range(first, last + 1))
    if unicodedata.decomposition(form)
}
_FORMS = re.compile(f"[{''.join(f'{first:c}-{last:c}' for first, last in _BLOCKS)}]")


def fold_presentation_forms(text: str) -> str:
    """Replace contextual forms and ligatures of Arabic letters by the letters themselves.

    These are the compatibility decompositions of Unicode, of two blocks only. Signs in them that
    have none stay: the ornate brackets of the Quran, U+FDFD.

    Example:
        >>> fold_presentation_forms("\ufefb \ufdf2")
        'لا الله'
    """
    return _FORMS.sub(lambda form: _FOLDED.get(form[0], form[0]), text)
