"""Tables of predictions: their columns, a part of them at a time."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from gpt_core.errors import DataError
from gpt_core.prediction.classifying import TextClassifier
from gpt_core.text import TableLayout, TableRow

ROW, ERROR = "row", "error"
PREDICTED, PROBABILITY, EXPECTED = "predicted", "probability", "expected"
TOKENS, TOKENS_CUT = "tokens", "tokens_cut"

Columns = Mapping[str, Sequence[object]]


class PredictionTable(Protocol):
    """Rows of a source to rows of predictions."""

    def schema(self, layout: TableLayout, keep: Sequence[str]) -> pa.Schema:
        """The columns of the predictions."""

    def predict(self, rows: Sequence[TableRow], layout: TableLayout) -> Columns:
        """The predictions' own columns for rows that have a text; ``error`` may be among them."""


class ClassifierTable:
    """A row for each text: its label with its probability, and those of all labels.

    Args:
        classifier: The classifier.
    """

    def __init__(self, classifier: TextClassifier) -> None:
        self._classifier = classifier

    def schema(self, layout: TableLayout, keep: Sequence[str]) -> pa.Schema:
        """The columns of the predictions, with ``expected`` if the source has labels."""
        expected = [] if layout.label is None else [(EXPECTED, pa.string())]
        labels = [(probability_of(label), pa.float32()) for label in self._classifier.labels]
        own = [("text", pa.string()), *expected, (PREDICTED, pa.string())]
        numbers = [(PROBABILITY, pa.float32()), *labels]
        lengths = [(TOKENS, pa.int32()), (TOKENS_CUT, pa.int32())]
        return with_kept(keep, [*own, *numbers, *lengths])

    def predict(self, rows: Sequence[TableRow], layout: TableLayout) -> Columns:
        """Classify the texts of rows."""
        texts = [row.values[layout.text] for row in rows]
        found = self._classifier.classify(texts)
        labels, best = self._classifier.labels, found.probabilities.argmax(axis=1)
        columns: dict[str, Sequence[object]] = {
            "text": texts,
            PREDICTED: [labels[index] for index in best],
            PROBABILITY: found.probabilities.max(axis=1).tolist(),
            TOKENS: found.tokens,
            TOKENS_CUT: found.cut,
        }
        if layout.label is not None:
            given = (row.values.get(layout.label, "").strip() for row in rows)
            columns[EXPECTED] = [label or None for label in given]
        for index, label in enumerate(labels):
            columns[probability_of(label)] = found.probabilities[:, index].tolist()
        return columns


def probability_of(label: str) -> str:
    """The column with the probability of a label.

    Example:
        >>> probability_of("spam")
        'probability_spam'
    """
    return f"{PROBABILITY}_{label}"


def with_kept(keep: Sequence[str], own: Sequence[tuple[str, pa.DataType]]) -> pa.Schema:
    """The row's number, the kept columns, those of the predictions, and the reason of an error.

    Raises:
        DataError: If a kept column has the name of another one.
    """
    names = {ROW, ERROR, *(name for name, _ in own)}
    twice = next((name for name in keep if name in names), None)
    if twice is not None:
        raise DataError(
            f"predict.keep names {twice!r:.80}, which is a column of the predictions: rename it in "
            "the source"
        )
    kept = [(name, pa.string()) for name in keep]
    return pa.schema([(ROW, pa.int64()), *kept, *own, (ERROR, pa.string())])


def predict_part(
    table: PredictionTable,
    rows: Sequence[TableRow],
    layout: TableLayout,
    keep: Sequence[str],
) -> pa.Table:
    """Predict consecutive rows; those without a text have the reason and nothing else.

    Args:
        table: What predicts.
        rows: The rows.
        layout: Where the source has its columns.
        keep: The columns that are copied.
    """
    schema = table.schema(layout, keep)
    readable = [index for index, row in enumerate(rows) if row.problem is None]
    found = table.predict([rows[index] for index in readable], layout) if readable else {}
    columns: dict[str, list[object]] = {name: [None] * len(rows) for name in schema.names}
    columns[ROW] = [row.number for row in rows]
    columns[ERROR] = [row.problem for row in rows]
    for name in keep:
        columns[name] = [row.values.get(name) for row in rows]
    for name, values in found.items():
        for index, value in zip(readable, values, strict=True):
            columns[name][index] = value
    arrays = [pa.array(columns[each.name], each.type) for each in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
