"""Predictions as one Parquet file and one CSV, written a part at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

PREDICTIONS_PARQUET = "predictions.parquet"
"""The file of the predictions."""
PREDICTIONS_CSV = "predictions.csv"
"""The same for spreadsheets."""

_FORMULA = r"^([=+\-@\t\r])"


class PartWriter(Protocol):
    """Receives the parts in their order."""

    def write_table(self, table: pa.Table) -> None:
        """Write one part."""


@contextmanager
def open_writers(folder: Path, schema: pa.Schema, *, escape_formulas: bool) -> Iterator["_Writers"]:
    """Open both files in a folder.

    Args:
        folder: Where; the files are complete when the block ends.
        schema: The columns.
        escape_formulas: Write an apostrophe before the CSV's texts that spreadsheets would compute.
    """
    with ExitStack() as stack:
        parquet = stack.enter_context(
            pq.ParquetWriter(folder / PREDICTIONS_PARQUET, schema, compression="zstd")
        )
        csv = stack.enter_context(pyarrow.csv.CSVWriter(folder / PREDICTIONS_CSV, schema))
        yield _Writers(parquet, csv, escape_formulas)


class _Writers:
    def __init__(self, parquet: PartWriter, csv: PartWriter, escape_formulas: bool) -> None:
        self._parquet, self._csv, self._escape = parquet, csv, escape_formulas

    def write(self, part: pa.Table) -> None:
        """Write a part to both: a row group of the Parquet file, and lines of the CSV."""
        self._parquet.write_table(part)
        self._csv.write_table(escape_formulas(part) if self._escape else part)


def escape_formulas(table: pa.Table) -> pa.Table:
    """Write an apostrophe before texts that begin as a spreadsheet's formula does.

    References:
        OWASP, "CSV Injection".

    Example:
        >>> escape_formulas(pa.table({"text": ["=1+1", "1=1"]}))["text"].to_pylist()
        ["'=1+1", '1=1']
    """
    for index, column in enumerate(table.schema):
        if pa.types.is_string(column.type):
            escaped = pc.replace_substring_regex(table.column(index), _FORMULA, r"'\1")
            table = table.set_column(index, column, escaped)
    return table
