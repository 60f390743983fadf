"""OpenITI mARkdown, the format of the large collections of Arabic books, as plain text.

A file begins with ``######OpenITI#`` and metadata up to ``#META#Header#End#``. In the body, a line
that begins with ``#`` begins a paragraph, a head or an entry of a dictionary, and ``~~`` continues
the paragraph of the line before.

References:
    Romanov, OpenITI mARkdown, https://alraqmiyyat.github.io/mARkdown/.
"""

import re
from collections.abc import Iterator
from typing import IO

from gpt_core.errors import DataError

MAGIC = "######OpenITI#"
_END_OF_HEADER = "#META#Header#End#"
_METADATA = "#META#"
_CONTINUATION = "~~"
_MAX_PARAGRAPH = 1 << 24  # characters of the lines that are joined

_TAGS = (
    r"[#\s]+|~+(?::[a-z]+:)?|\$#[A-Z]+"  # also of morphology and of geography
    r"|(?:[|$@]+(?:[A-Z_]+[|$])?|RAW|AUTO|CHECK)"
)
_UNIT = re.compile(rf"###(?:{_TAGS})*")
_PARAGRAPH = re.compile(rf"#(?:{_TAGS}(?=\s|$))*")  # a row of a table begins with a pipe too
_MARKS = re.compile(
    r"Page(?:Beg|End)?V[0-9A-Za-z]{1,4}P[0-9]+[A-Za-z]?"  # ends of pages of the printed edition
    r"|(?<![A-Za-z])ms[A-Z]?[0-9]+(?![A-Za-z])|Milestone[0-9]+"  # every 300 words
    r"|%~%|(?<![0-9\u0660-\u0669]\s)(?<!\S)%(?!\S)"  # between the halves of a verse
    r"|@[A-Z]{1,4}[0-9]+"  # the next words are a name, a place or a year
    r"|@?Q[BE]@|@[A-Z]+@(?:[A-Za-z0-9_-]+@)*"  # quotations, parts of reports, a scholar's own tags
    r"|\(@+\)|#\$#[A-Z]+"  # persons in a list of names, stations of a route
    r"|(?<!\S)[$@]+(?!\S)"
    r"|!\[[^\]]*\]\([^)]*\)|</?[a-z]+(?:\s[^<>]*)?>|-+NO PAGE NO-+|\bENDNOTES\b[:#]*"
)
_SUSPECT = re.compile("[A-Zms@%$#!<]")  # in hardly any line, and much faster to look for


def is_openiti(start: bytes) -> bool:
    """Whether a file that begins with these bytes is OpenITI mARkdown."""
    return start.removeprefix(b"\xef\xbb\xbf").startswith(MAGIC.encode())


def plain_lines(text: IO[str], where: str, *, heads: bool = True) -> Iterator[str]:
    r"""Stream the paragraphs of a text without its marks, each in one line.

    A blank line follows each paragraph, and a head is the line before its paragraph.

    Args:
        text: The file.
        where: Its name in error messages.
        heads: Whether to keep the heads of chapters and sections.

    Raises:
        DataError: If the metadata has no end.

    Example:
        >>> import io
        >>> book = "######OpenITI#\n#META#Header#End#\n### | باب\n# قال ms1 نعم\n~~ثم PageV01P002"
        >>> list(plain_lines(io.StringIO(book), "book"))
        ['باب\n', 'قال نعم ثم\n', '\n']
    """
    _skip_header(text, where)
    for is_head, line in _paragraphs(text):
        if not is_head:
            yield line + "\n"
            yield "\n"
        elif heads:
            yield line + "\n"


def _skip_header(text: IO[str], where: str) -> None:
    for line in text:
        if line.strip() == _END_OF_HEADER:
            return
    raise DataError(
        f"{where} begins with {MAGIC} but has no line {_END_OF_HEADER} after its metadata: copy "
        "the file again, or set reading.format=text to read it as it is"
    )


def _paragraphs(text: IO[str]) -> Iterator[tuple[bool, str]]:
    """Stream the paragraphs, heads and entries that are not empty; True for a head."""
    is_head, parts, size = False, list[str](), 0
    for line in text:
        content = line.strip()
        if content.startswith(_METADATA):
            continue
        begins = not content.startswith(_CONTINUATION)
        plain = _without_marks(content.lstrip("~"))
        if begins and not (plain or content.startswith("#")):
            continue  # a page ends between two lines of a paragraph
        if begins or size > _MAX_PARAGRAPH:
            if parts:
                yield is_head, " ".join(parts)
            parts, size = [], 0
            is_head = begins and "|" in _tags_of(content)
        if plain:
            parts.append(plain)
            size += len(plain)
    if parts:
        yield is_head, " ".join(parts)


def _tags_of(line: str) -> str:
    """The tags at the beginning of a line."""
    tags = (_UNIT if line.startswith("###") else _PARAGRAPH).match(line)
    return tags[0] if tags else ""


def _without_marks(line: str) -> str:
    """The words of a line; what is removed between two words leaves a space."""
    line = line[len(_tags_of(line)) :]
    if _SUSPECT.search(line):
        line = _MARKS.sub(" ", line)
    return " ".join(line.split())
