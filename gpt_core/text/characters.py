"""Rules for every script: invisible characters and white space."""

import re
from collections.abc import Iterable

import numpy as np

_CONTROLS = re.compile(
    "["
    "\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # C0 and C1 without tab and line feed
    "\u00ad\u180e"  # soft hyphen, Mongolian vowel separator
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directional marks, embeddings and isolates
    "\u200b\u2060-\u2064\u206a-\u206f"  # zero-width space, word joiner, invisible operators
    "\ufeff\ufff9-\ufffd"  # byte-order mark, annotation signs, (object) replacement
    "\ufdd0-\ufdef\ufffe\uffff"  # noncharacters
    "\ud800-\udfff"  # lone surrogates, which no UTF-8 file can hold
    "]+"
)
_LINE_ENDS = re.compile("[\r\u000b\u000c\u0085\u2028\u2029](?:(?<=\r)\n)?")
_OTHER_SPACES = re.compile("[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_SPACES = re.compile(" {2,}")
_SPACES_AT_LINE_ENDS = re.compile(" *\n *")
_BLANK_LINES = re.compile("\n{3,}")


class CharacterSet:
    """A set of characters to remove, as a lookup table: several times faster than a regex.

    Args:
        characters: Characters of the Basic Multilingual Plane, U+0000 to U+FFFF.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self._kept = np.ones(1 << 16, dtype=np.bool_)
        self._kept[[ord(character) for character in characters]] = False

    def __contains__(self, character: str) -> bool:
        return ord(character) < len(self._kept) and not self._kept[ord(character)]

    def remove_from(self, text: str) -> str:
        """Remove the characters of the set from a text."""
        units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2")
        kept: bytes = units[self._kept[units]].tobytes()
        return kept.decode("utf-16-le", "surrogatepass")


def strip_controls(text: str) -> str:
    r"""Remove invisible characters: controls, bidirectional marks, zero-width spaces.

    All line ends become LF first. The joiners U+200C and U+200D are kept, because Persian spelling
    and emoji need them.

    Example:
        >>> strip_controls("a\u200fb\r\nc\x07")
        'ab\nc'
    """
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


def collapse_whitespace(text: str) -> str:
    r"""Reduce runs of spaces to one, blank lines to at most one, and strip each line.

    Example:
        >>> collapse_whitespace(" a \t b \n\n\n\n c ")
        'a b\n\nc'
    """
    text = _OTHER_SPACES.sub(" ", text)
    if "  " in text:
        text = _SPACES.sub(" ", text)
    if "\n" in text:
        text = _BLANK_LINES.sub("\n\n", _SPACES_AT_LINE_ENDS.sub("\n", text))
    return text.strip()
