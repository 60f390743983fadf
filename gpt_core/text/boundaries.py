"""Cut documents out of a text by a table of character offsets and lengths."""

from collections.abc import Iterator
from typing import IO

from gpt_core.config import current_limits
from gpt_core.errors import DataError
from gpt_core.object_paths import Location
from gpt_core.text.records import read_table
from gpt_core.text.streams import open_text

_COLUMNS = ("char_offset", "char_length")
_CHUNK = 1 << 18  # characters read at a time
_MAX_DIGITS = 19  # of an offset; Python reads no numbers of thousands of digits


def cut_at_boundaries(
    stream: IO[bytes], boundaries: Location, where: str, encoding: str
) -> Iterator[str]:
    """Stream the documents of a text in one pass.

    Args:
        stream: The text's bytes.
        boundaries: A TSV with a header and the columns ``char_offset`` and ``char_length``, in
            the order of the offsets. Line ends count as the characters that they are.
        where: The text's name in error messages.
        encoding: The text's encoding.

    Raises:
        DataError: If the table lacks a column or holds anything but numbers, or a span is out of
            order or reaches beyond the text.
    """
    with open_text(stream, where, encoding, newline="", setting="reading.encoding") as text:
        limit = current_limits().document_characters
        start, buffer = 0, ""  # start: offset of the buffer's first character in the text
        for place, offset, length in _spans(boundaries):
            if length > limit:
                raise DataError(
                    f"{boundaries}, {place}: a document of {length:,} characters is longer than "
                    f"{limit:,}: cut it into several, or raise limits.document_characters"
                )
            parts, held = [buffer], start + len(buffer)
            while held < offset + length and (chunk := text.read(_CHUNK)):
                parts.append(chunk)
                held += len(chunk)
            buffer = "".join(parts)
            if not start <= offset <= offset + length <= held:
                raise DataError(
                    f"{boundaries}, {place}: the span of {length} characters from {offset} "
                    f"on is not in order or lies outside {where}"
                )
            yield buffer[offset - start : offset - start + length]
            if offset - start > _CHUNK:
                start, buffer = offset, buffer[offset - start :]


def _spans(boundaries: Location) -> Iterator[tuple[str, int, int]]:
    """Yield the place in the table, the offset and the length of each document."""
    where = str(boundaries)
    with boundaries.open("rb") as file, open_text(file, where, "utf-8") as lines:
        for place, row in read_table(lines, "tsv", where, _COLUMNS):
            offset, length = (row[column] for column in _COLUMNS)
            if not (_is_number(offset) and _is_number(length)):
                raise DataError(
                    f"{boundaries}, {place}: {' and '.join(_COLUMNS)} must be whole numbers, got "
                    f"{offset!r} and {length!r}"
                )
            yield place, int(offset), int(length)


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and len(cell) < _MAX_DIGITS
