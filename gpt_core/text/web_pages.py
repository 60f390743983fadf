"""Extract the text of HTML pages, with paragraphs and lists as lines."""

import codecs
import io
import re
from typing import IO

from gpt_core.config import ReadingConfig, current_limits
from gpt_core.config.text import is_encoding
from gpt_core.errors import DataError
from gpt_core.text.extras import require_extra
from gpt_core.text.streams import open_text

_DECLARED = re.compile(
    rb"<meta\s[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]+)|<\?xml\s[^>]*?encoding\s*=\s*[\"']([\w.:-]+)",
    re.IGNORECASE,
)
_MAX_DEPTH = 1000  # of nested elements; honest pages have tens, and time grows with the square
_NESTING = re.compile(
    r"<(/?)(?!(?:area|base|br|col|dd|dt|embed|hr|img|input|li|link|meta|option|p|source|td|th|tr|wbr)"
    r"[\s/>])[a-z]",
    re.IGNORECASE,
)
_SEARCHED = 1024  # first bytes, in which a page declares its encoding
_UTF_8 = "utf-8"


def read_page(stream: IO[bytes], where: str, reading: ReadingConfig, *, main: bool) -> str:
    """Read a page and extract its text.

    The page's encoding is ``reading.encoding`` if that is not UTF-8, else the one that it declares.

    Args:
        stream: The page's bytes.
        where: Its name in error messages.
        reading: The encoding.
        main: Whether to leave out menus, headers and footers.

    Raises:
        DataError: If it is longer than ``limits.line_characters``, cannot be decoded, or the
            package that reads HTML is missing.
    """
    data = read_bounded(stream, where)
    encoding = reading.encoding
    if codecs.lookup(encoding).name == _UTF_8:
        encoding = declared_encoding(data) or encoding
    with open_text(io.BytesIO(data), where, encoding, setting="reading.encoding") as text:
        page = text.read()
    if is_too_deep(page):
        raise DataError(
            f"{where} has more than {_MAX_DEPTH:,} elements in each other, which takes too long to "
            "read: take the page out"
        )
    return extract_text(page, where, main=main)


def read_bounded(stream: IO[bytes], where: str) -> bytes:
    """Read what cannot be streamed.

    Raises:
        DataError: If it has more bytes than ``limits.line_characters``.
    """
    limit = current_limits().line_characters
    parts, size = list[bytes](), 0
    while part := stream.read(1 << 20):  # to ask for all at once would allocate it at once
        parts.append(part)
        size += len(part)
        if size > limit:
            raise DataError(
                f"{where} is longer than {limit:,} bytes, the most that a page may have: cut it "
                "into several, or raise limits.line_characters"
            )
    return b"".join(parts)


def declared_encoding(page: bytes) -> str | None:
    """The encoding that a page declares by a byte-order mark, ``<meta>`` or ``<?xml?>``, if any."""
    if page.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    declared = _DECLARED.search(page[:_SEARCHED])
    name = (declared[1] or declared[2]).decode("ascii", "replace") if declared else ""
    return name if name and is_encoding(name) else None


def is_too_deep(page: str) -> bool:
    """Whether so many elements of a page are in each other that to extract its text takes hours."""
    if page.count("<") <= _MAX_DEPTH:
        return False
    depth = deepest = 0
    for tag in _NESTING.finditer(page):
        depth += -1 if tag[1] else 1
        deepest = max(deepest, depth)
    return deepest > _MAX_DEPTH


def extract_text(page: str, where: str, *, main: bool) -> str:
    """The visible text of a page.

    Args:
        page: The HTML.
        where: Its name in error messages.
        main: Whether to leave out menus, headers and footers.

    Raises:
        DataError: If the package that does it is missing.
    """
    html2text = require_extra("resiliparse.extract.html2text", f"{where}: HTML")
    text: str = html2text.extract_plain_text(page, main_content=main, alt_texts=False)
    return text
