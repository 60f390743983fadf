"""Settings of predictions for the rows of a file."""

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from gpt_core.config.checks import require, require_at_least, require_named
from gpt_core.config.section import RECORDED_IF_SET, Section
from gpt_core.config.text import is_encoding

OUTPUT_SUFFIXES = (".parquet", ".csv")
"""The formats that predictions are written in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionConfig(Section):
    """How a file is read for ``gptflow predict``, and what is written."""

    out: str | None = None
    """A ``.parquet`` or ``.csv`` file that gets a copy of the predictions; None leaves them in the
    report's directory, in both formats."""

    adapter: str | None = field(default=None, metadata=RECORDED_IF_SET)
    """A directory with an adapter for the checkpoint (LoRA), which is used without merging. The
    predictions are those of the fine-tuned model; what they are recorded with is the fingerprint
    of its files."""

    text_column: str | None = None
    """Column of the texts; None is ``text`` for a classifier, ``instruction`` for a model tuned on
    instructions (with ``input``, if there is one) and ``prompt`` for a language model. A table's
    only column, or its only other one than the label's, needs no name."""

    label_column: str = "label"
    """Column of the right labels, with which a classifier is measured as well, if it is there."""

    keep: tuple[str, ...] = ()
    """Columns that are copied into the predictions, as text, such as an id."""

    encoding: str = "auto"
    """Character encoding of the file, by its name in Python, such as ``cp1252``. ``auto`` is UTF-8,
    or what a byte-order mark says. A row with bytes that the encoding does not have is reported in
    the column ``error``."""

    batch_size: int = 64
    """Texts, or windows of a long one, that go through the model at once."""

    part_rows: int = 4096
    """Rows in a part. Parts are saved one by one, a stopped run continues with the first that is
    missing, and memory holds one; within a part texts of similar length are computed together."""

    escape_formulas: bool = True
    """Write an apostrophe before the texts of the CSV that begin with ``=``, ``+``, ``-``, ``@``, a
    tab or a carriage return, which spreadsheets would compute. The Parquet file has them as they
    are."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model computes; ``auto`` prefers a GPU."""

    def __post_init__(self) -> None:
        require_named(self, "out", "adapter", "text_column", "label_column")
        require_at_least(self, 1, "batch_size", "part_rows")
        require(
            self.encoding == "auto" or is_encoding(self.encoding),
            "encoding must be auto or one that Python knows, such as utf-8 or cp1252, got "
            f"{self.encoding!r}",
        )
        require(
            self.out is None or PurePath(self.out).suffix.lower() in OUTPUT_SUFFIXES,
            f"out must be a file that ends in .parquet or .csv, got {self.out!r:.200}",
        )
        require(
            len(set(self.keep)) == len(self.keep) and all(self.keep),
            f"keep must name columns, each once, got {list(self.keep)!r:.200}",
        )
