"""Counts of the predictions of a file, and metrics where the right labels are known.

Shapes: K classes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from gpt_core.evaluation import confusion_metrics
from gpt_core.prediction.tables import ERROR, EXPECTED, PREDICTED, TOKENS, TOKENS_CUT

_MAX_PROBLEMS = 20


@dataclass(slots=True)
class Summary:
    """Collects the parts of predictions one after the other, in constant memory.

    Args:
        labels: The labels of a classifier; None for a model that writes.
    """

    labels: Sequence[str] | None
    rows: int = 0
    unreadable: int = 0
    tokens: int = 0
    rows_cut: int = 0
    tokens_cut: int = 0
    problems: list[str] = field(default_factory=list)
    """The reasons of the first rows that could not be read."""

    predicted: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    """Labels of the source that the classifier does not know."""

    def add(self, part: pa.Table) -> None:
        """Count the rows of a part."""
        errors = part.column(ERROR).drop_null()
        self.rows += len(part)
        self.unreadable += len(errors)
        self.problems += errors.slice(0, _MAX_PROBLEMS - len(self.problems)).to_pylist()
        self.tokens += pc.sum(part.column(TOKENS)).as_py() or 0
        if self.labels is None:
            self.finished.update(part.column("finish").drop_null().to_pylist())
            return
        self.predicted.update(part.column(PREDICTED).drop_null().to_pylist())
        cut = part.column(TOKENS_CUT)
        self.tokens_cut += pc.sum(cut).as_py() or 0
        self.rows_cut += pc.sum(pc.greater(cut, 0)).as_py() or 0
        if EXPECTED in part.column_names:
            self._count_expected(part)

    def _count_expected(self, part: pa.Table) -> None:
        pairs = zip(
            part.column(EXPECTED).to_pylist(), part.column(PREDICTED).to_pylist(), strict=True
        )
        for expected, predicted in pairs:
            if expected is None or predicted is None:
                continue
            if expected in self.labels_known:
                self.confusion[expected, predicted] += 1
            else:
                self.unknown[expected] += 1

    @property
    def labels_known(self) -> Sequence[str]:
        """The classifier's labels, none for a model that writes."""
        return self.labels or ()

    def metrics(self) -> dict[str, float]:
        """The counts, and of labelled rows accuracy and F1; see ``confusion_metrics``."""
        found = {"rows": self.rows, "unreadable_rows": self.unreadable, "tokens": self.tokens}
        if self.labels is not None:
            found |= {"rows_cut": self.rows_cut, "tokens_cut": self.tokens_cut}
        if self.unknown:
            found["unknown_labels"] = self.unknown.total()
        numbers = {name: float(value) for name, value in found.items()}
        if self.confusion:
            numbers["labelled_rows"] = float(self.confusion.total())
            numbers |= confusion_metrics(self.confusion, self.labels_known)
        return numbers

    def label_rows(self) -> list[dict[str, object]]:
        """How many rows have which label, and their fraction of those that could be read."""
        total = max(1, self.predicted.total())
        return [
            {
                "label": label,
                "rows": self.predicted[label],
                "fraction": self.predicted[label] / total,
            }
            for label in self.labels_known
        ]
