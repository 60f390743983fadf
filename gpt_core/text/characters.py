"""Rules that hold for every script: invisible characters and white space."""

import re

_CONTROLS = re.compile(
    "["
    "\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # C0 and C1 without tab and line feed
    "\u00ad"  # soft hyphen
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directional marks, embeddings and isolates
    "\u200b\u2060\ufeff\ufffc\ufffd"  # zero-width space, word joiner, BOM, (object) replacement
    "\ufdd0-\ufdef\ufffe\uffff"  # noncharacters
    "\ud800-\udfff"  # lone surrogates, which no UTF-8 file can hold
    "]+"
)
_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029\u000b\u000c]")
_SPACES = re.compile("[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_SPACE_AT_LINE_ENDS = re.compile(" *\n *")
_BLANK_LINES = re.compile("\n{3,}")


def strip_controls(text: str) -> str:
    r"""Remove what is neither seen nor needed: controls, directional marks, zero-width spaces.

    All line ends become LF first. The joiners U+200C and U+200D stay: Persian spelling and emoji
    need them.

    Example:
        >>> strip_controls("a\u200fb\r\nc\x07")
        'ab\nc'
    """
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


def collapse_whitespace(text: str) -> str:
    r"""One space for each run of spaces, none at line ends, at most one blank line.

    Example:
        >>> collapse_whitespace(" a \t b \n\n\n\n c ")
        'a b\n\nc'
    """
    text = _SPACE_AT_LINE_ENDS.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()
