"""Read the fields of CSV and TSV; the delimiter of a CSV is found in its first line."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal, Protocol

from gpt_core.config import current_limits

_OTHERS = (";", "\t")


class FieldReader(Protocol):
    """An iterator over the fields of each row, as that of ``csv``."""

    @property
    def line_num(self) -> int:
        """The number of lines that were read."""

    def __iter__(self) -> Iterator[list[str]]:
        """Iterate over the rows."""

    def __next__(self) -> list[str]:
        """Read a row."""


def field_reader(lines: Iterable[str], form: Literal["csv", "tsv"]) -> FieldReader:
    """Open a reader of a table's fields, whose ``line_num`` counts the lines.

    The fields of a TSV are separated by tabs and never quoted. Those of a CSV are separated by
    commas; if its first line has none, by semicolons, as spreadsheets write it in countries with a
    decimal comma, or by tabs.

    Args:
        lines: The lines of the file.
        form: Its format.

    Example:
        >>> list(field_reader(["Nr;Review", '1;"so; so"'], "csv"))
        [['Nr', 'Review'], ['1', 'so; so']]
    """
    csv.field_size_limit(current_limits().cell_characters)
    if form == "tsv":
        return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    first, lines = _peek(iter(lines))
    found = (each for each in _OTHERS if each in first and "," not in first)
    return csv.reader(lines, delimiter=next(found, ","), strict=True)


def _peek(lines: Iterator[str]) -> tuple[str, Iterator[str]]:
    """The first line that is not blank, and all lines."""
    read: list[str] = []
    for line in lines:
        read.append(line)
        if line.strip():
            return line, chain(read, lines)
    return "", iter(read)
