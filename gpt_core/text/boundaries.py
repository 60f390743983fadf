"""Documents by a table that says where each begins and how long it is, in Unicode characters."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gpt_core.errors import DataError
from gpt_core.text.formats import open_text

_COLUMNS = ("char_offset", "char_length")
_CHUNK = 1 << 18  # characters read at a time


def cut_at_boundaries(
    stream: IO[bytes], boundaries: Path, where: str, encoding: str
) -> Iterator[str]:
    """The documents of a text, in one pass.

    Args:
        stream: The text's bytes.
        boundaries: A TSV with a header and the columns ``char_offset`` and ``char_length``, in
            the order of the offsets. Line ends count as the characters that they are.
        where: What the text is called in errors.
        encoding: Of the text.

    Raises:
        DataError: If the table is no such table, or a span reaches beyond the text.
    """
    with open_text(stream, where, encoding, newline="") as text:
        start, buffer = 0, ""  # start: where the buffer's first character stands in the text
        for number, offset, length in _spans(boundaries):
            parts, held = [buffer], start + len(buffer)
            while held < offset + length and (chunk := text.read(_CHUNK)):
                parts.append(chunk)
                held += len(chunk)
            buffer = "".join(parts)
            if not start <= offset <= offset + length <= held:
                raise DataError(
                    f"{boundaries}, line {number}: the span of {length} characters from {offset} "
                    f"on is not in order or lies outside {where}"
                )
            yield buffer[offset - start : offset - start + length]
            if offset - start > _CHUNK:
                start, buffer = offset, buffer[offset - start :]


def _spans(boundaries: Path) -> Iterator[tuple[int, int, int]]:
    """The line's number, the offset and the length of each document."""
    with (
        boundaries.open("rb") as file,
        open_text(file, str(boundaries), "utf-8") as lines,
    ):
        table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if not set(_COLUMNS) <= set(table.fieldnames or ()):
            raise DataError(
                f"{boundaries} must have the columns {' and '.join(_COLUMNS)}; it has "
                f"{', '.join(table.fieldnames or ['none'])}"
            )
        for row in table:
            offset, length = (row[column] for column in _COLUMNS)
            if not (_is_number(offset) and _is_number(length)):
                raise DataError(
                    f"{boundaries}, line {table.line_num}: {' and '.join(_COLUMNS)} must be whole "
                    f"numbers, got {offset!r} and {length!r}"
                )
            yield table.line_num, int(offset), int(length)


def _is_number(cell: str | None) -> bool:
    return cell is not None and cell.isascii() and cell.isdigit()
